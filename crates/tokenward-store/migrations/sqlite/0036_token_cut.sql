-- All tokens of an organization that were made up to a moment can be taken back at once: up to this id, then, and why.
ALTER TABLE organization ADD COLUMN tokens_cut BLOB;
ALTER TABLE organization ADD COLUMN tokens_cut_at INTEGER;
ALTER TABLE organization ADD COLUMN tokens_cut_reason TEXT;
ALTER TABLE organization ADD COLUMN tokens_cut_note TEXT;
ALTER TABLE organization ADD COLUMN tokens_cut_by_name TEXT;
ALTER TABLE organization ADD COLUMN tokens_cut_by_kind TEXT;
ALTER TABLE organization ADD COLUMN tokens_cut_by_id BLOB;
