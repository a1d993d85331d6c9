-- Denials, for as long as they are kept: the answer to "why" after a restart, and on every node.
CREATE TABLE denial (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    at INTEGER NOT NULL,
    token_id BLOB,
    reason TEXT NOT NULL,
    missing TEXT,
    permission TEXT,
    api TEXT,
    method TEXT,
    path TEXT,
    absent INTEGER NOT NULL,
    project_id BLOB,
    environment_id BLOB,
    cluster_id BLOB,
    mode TEXT,
    address TEXT,
    trace BLOB,
    of_ours INTEGER NOT NULL
) STRICT;
CREATE INDEX denial_at ON denial (organization_id, at);
CREATE INDEX denial_token ON denial (organization_id, token_id, at);
CREATE INDEX denial_old ON denial (at);
