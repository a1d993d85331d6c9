-- What the server has signed of the log: the hash at a position, and the root of a tree over the hashes since the one before.
CREATE TABLE checkpoint (
    position INTEGER NOT NULL PRIMARY KEY,
    first INTEGER NOT NULL,
    log BLOB NOT NULL,
    hash BLOB NOT NULL,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
