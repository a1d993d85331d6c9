-- Clusters, projects, environments and variables: what tokens with custom roles act on.

-- body: the JSON object of the optional fields that clients send; stored and returned, not interpreted.
CREATE TABLE cluster (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    cloud_provider TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, id)
);

CREATE TABLE project (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, name)
);

CREATE TABLE environment (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL,
    project_id UUID NOT NULL,
    cluster_id UUID NOT NULL,
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    last_updated_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (project_id, name),
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, cluster_id) REFERENCES cluster (organization_id, id)
);
CREATE INDEX environment_cluster ON environment (cluster_id);

-- environment_id is NULL for a variable of the project. The value of a secret is sealed.
CREATE TABLE variable (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL,
    project_id UUID NOT NULL,
    environment_id UUID,
    is_secret BOOLEAN NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    variable_type TEXT NOT NULL,
    mount_path TEXT,
    description TEXT,
    parent_id UUID REFERENCES variable (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, environment_id) REFERENCES environment (organization_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX variable_project_key ON variable (project_id, key) WHERE environment_id IS NULL;
CREATE UNIQUE INDEX variable_environment_key ON variable (environment_id, key) WHERE environment_id IS NOT NULL;
CREATE INDEX variable_parent ON variable (parent_id);

-- What a custom role may do beyond the default.
CREATE TABLE role_cluster (
    organization_id UUID NOT NULL,
    role_id UUID NOT NULL,
    cluster_id UUID NOT NULL,
    level TEXT NOT NULL,
    PRIMARY KEY (role_id, cluster_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, cluster_id) REFERENCES cluster (organization_id, id) ON DELETE CASCADE
);

-- levels: the four levels in the order development, preview, staging, production, with commas.
CREATE TABLE role_project (
    organization_id UUID NOT NULL,
    role_id UUID NOT NULL,
    project_id UUID NOT NULL,
    is_admin BOOLEAN NOT NULL,
    levels TEXT NOT NULL,
    PRIMARY KEY (role_id, project_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE
);

CREATE TABLE invitation (
    id UUID NOT NULL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organization (id),
    email TEXT NOT NULL,
    email_fold TEXT NOT NULL,
    role_id UUID NOT NULL,
    inviter TEXT NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (organization_id, email_fold),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id)
);

-- scope: a hash over organization, credential, method, path and the client's key. answer: NULL while it runs,
-- then sealed under a key that the client's key is needed for.
CREATE TABLE idempotency (
    scope BYTEA NOT NULL PRIMARY KEY,
    request BYTEA NOT NULL,
    answer BYTEA,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_created ON idempotency (created_at);
