-- Servers that kept a journal and stopped in order, which leaves no row of a node: one that comes by such a name and has no journal
-- has lost it.
CREATE TABLE journal_left (
    node_id uuid PRIMARY KEY,
    name text NOT NULL,
    left_at bigint NOT NULL
);
CREATE INDEX journal_left_name ON journal_left (name);
