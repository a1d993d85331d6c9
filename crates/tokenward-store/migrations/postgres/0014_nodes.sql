-- Several nodes on one database.

-- Who carries out the request with a key, and where its change stands once it does: written with the change itself.
ALTER TABLE idempotency ADD COLUMN claim_id UUID;
ALTER TABLE idempotency ADD COLUMN position BIGINT;

-- Which node brought the pepper, for whoever looks for it.
ALTER TABLE pepper ADD COLUMN made_by TEXT;

-- Who follows the log and decides by it. A node counts its row up with each look at the log; what is not counted up any
-- more goes. kind: server or embedded. max_staleness: microseconds. position, hash: up to where the node has applied the
-- log.
CREATE TABLE node (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    version TEXT NOT NULL,
    max_staleness BIGINT NOT NULL,
    counter BIGINT NOT NULL,
    position BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    started_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL
);
