-- Links by which the first organization is founded: one of each server that was started while there was none. Of each a digest.
CREATE TABLE set_up_link (
    digest bytea PRIMARY KEY,
    begun_at bigint NOT NULL,
    ends_at bigint NOT NULL
);
