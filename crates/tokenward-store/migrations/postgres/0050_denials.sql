-- Denials, for as long as they are kept: the answer to "why" after a restart, and on every node.
CREATE TABLE denial (
    id text NOT NULL PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization (id),
    at bigint NOT NULL,
    token_id uuid,
    reason text NOT NULL,
    missing text,
    permission text,
    api text,
    method text,
    path text,
    absent bigint NOT NULL,
    project_id uuid,
    environment_id uuid,
    cluster_id uuid,
    mode text,
    address text,
    trace bytea,
    of_ours bigint NOT NULL
);
CREATE INDEX denial_at ON denial (organization_id, at);
CREATE INDEX denial_token ON denial (organization_id, token_id, at);
CREATE INDEX denial_old ON denial (at);
