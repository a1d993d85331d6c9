-- What the server has signed of the log: the hash at a position, and the root of a tree over the hashes since the one before.
CREATE TABLE checkpoint (
    position BIGINT NOT NULL PRIMARY KEY,
    first BIGINT NOT NULL,
    log UUID NOT NULL,
    hash BYTEA NOT NULL,
    root BYTEA NOT NULL,
    time BIGINT NOT NULL,
    key_id BYTEA NOT NULL,
    signature BYTEA NOT NULL
);
