-- When a node told that it had come to where it is in the log, and when to where it was before, by the clock of the database.
ALTER TABLE node ADD COLUMN applied_at INTEGER;
CREATE TABLE node_applied (
    node_id BLOB NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    applied_at INTEGER NOT NULL,
    PRIMARY KEY (node_id, position)
) STRICT, WITHOUT ROWID;
