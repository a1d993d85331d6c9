-- Lists of tokens in another order than that of their creation are read from an index: by the name whatever its case, by the end,
-- by the last use. name_lower: empty where it is not of ASCII alone, until the server that starts next writes it. used_at: when the
-- token was last presented, as far as it was written; 0 for never. end_key: the end, and of what never ends the last moment.
ALTER TABLE token ADD COLUMN name_lower text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN used_at bigint NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN end_key bigint GENERATED ALWAYS AS (coalesce(expires_at, 9223372036854775807)) STORED;
UPDATE token SET name_lower = lower(name COLLATE "C") WHERE name COLLATE "C" ~ '^[ -~]*$';
UPDATE token SET used_at = u.used_at
    FROM (SELECT token_id, max(last_used_at) AS used_at FROM token_usage GROUP BY token_id) u WHERE u.token_id = token.id;
CREATE INDEX token_by_name ON token (organization_id, kind, name_lower, id) WHERE revoked_at IS NULL;
CREATE INDEX token_by_end ON token (organization_id, kind, end_key, id) WHERE revoked_at IS NULL;
CREATE INDEX token_by_use ON token (organization_id, kind, used_at, id) WHERE revoked_at IS NULL;
-- What the server that starts next looks for.
CREATE INDEX token_no_lower ON token (id) WHERE name_lower = '';
