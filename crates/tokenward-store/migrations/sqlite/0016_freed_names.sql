-- The name of a token whose end has come is free. name_freed_at: since when another one may have it; an end is final, so
-- that it is never wanted back.
ALTER TABLE token ADD COLUMN name_freed_at INTEGER;
DROP INDEX token_name;
CREATE UNIQUE INDEX token_name ON token (organization_id, kind, name) WHERE revoked_at IS NULL AND name_freed_at IS NULL;
