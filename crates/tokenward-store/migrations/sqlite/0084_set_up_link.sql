-- Links by which the first organization is founded: one of each server that was started while there was none. Of each a digest.
CREATE TABLE set_up_link (
    digest BLOB PRIMARY KEY NOT NULL,
    begun_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
