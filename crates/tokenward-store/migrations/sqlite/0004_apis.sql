-- The routes of organizations' own APIs. routes: a JSON array, written and read as a whole.
CREATE TABLE api (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    unknown_route TEXT NOT NULL,
    routes TEXT NOT NULL,
    route_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, name)
) STRICT;
