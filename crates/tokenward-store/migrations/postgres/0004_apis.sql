-- The routes of organizations' own APIs. routes: a JSON array, written and read as a whole.
CREATE TABLE api (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    unknown_route TEXT NOT NULL,
    routes TEXT NOT NULL,
    route_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, name)
);
