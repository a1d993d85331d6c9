-- Of which limits it was told that an organization has come near: once, until it is away from it again. about_id is the organization,
-- or the credential whose limit it is.
CREATE TABLE limit_told (
    organization_id BLOB NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    limit_name TEXT NOT NULL,
    about_id BLOB NOT NULL,
    about_name TEXT NOT NULL,
    told_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, limit_name, about_id)
) STRICT;
