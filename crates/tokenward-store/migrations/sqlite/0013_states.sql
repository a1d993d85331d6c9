-- A token can be switched off and on again, and says why it was taken back, and by whom.
ALTER TABLE token ADD COLUMN disabled_at INTEGER;
ALTER TABLE token ADD COLUMN revoked_reason TEXT;
ALTER TABLE token ADD COLUMN revoked_note TEXT;
ALTER TABLE token ADD COLUMN revoked_by_name TEXT;
ALTER TABLE token ADD COLUMN revoked_by_kind TEXT;
ALTER TABLE token ADD COLUMN revoked_by_id BLOB;
-- Those that were taken back, for as long as they can be read.
CREATE INDEX token_revoked ON token (organization_id, kind, id) WHERE revoked_at IS NOT NULL;
