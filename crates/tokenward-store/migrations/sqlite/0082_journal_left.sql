-- Servers that kept a journal and stopped in order, which leaves no row of a node: one that comes by such a name and has no journal
-- has lost it.
CREATE TABLE journal_left (
    node_id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    left_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_left_name ON journal_left (name);
