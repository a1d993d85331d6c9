-- Clusters, projects, environments and variables: what tokens with custom roles act on.

-- body: the JSON object of the optional fields that clients send; stored and returned, not interpreted.
CREATE TABLE cluster (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    cloud_provider TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, id)
) STRICT;

CREATE TABLE project (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, name)
) STRICT;

CREATE TABLE environment (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    cluster_id BLOB NOT NULL,
    name TEXT NOT NULL,
    mode TEXT NOT NULL,
    last_updated_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (project_id, name),
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, cluster_id) REFERENCES cluster (organization_id, id)
) STRICT;
CREATE INDEX environment_cluster ON environment (cluster_id);

-- environment_id is NULL for a variable of the project. The value of a secret is sealed.
CREATE TABLE variable (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    environment_id BLOB,
    is_secret INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    variable_type TEXT NOT NULL,
    mount_path TEXT,
    description TEXT,
    parent_id BLOB REFERENCES variable (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, environment_id) REFERENCES environment (organization_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX variable_project_key ON variable (project_id, key) WHERE environment_id IS NULL;
CREATE UNIQUE INDEX variable_environment_key ON variable (environment_id, key) WHERE environment_id IS NOT NULL;
CREATE INDEX variable_parent ON variable (parent_id);

-- What a custom role may do beyond the default.
CREATE TABLE role_cluster (
    organization_id BLOB NOT NULL,
    role_id BLOB NOT NULL,
    cluster_id BLOB NOT NULL,
    level TEXT NOT NULL,
    PRIMARY KEY (role_id, cluster_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, cluster_id) REFERENCES cluster (organization_id, id) ON DELETE CASCADE
) STRICT;

-- levels: the four levels in the order development, preview, staging, production, with commas.
CREATE TABLE role_project (
    organization_id BLOB NOT NULL,
    role_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    is_admin INTEGER NOT NULL,
    levels TEXT NOT NULL,
    PRIMARY KEY (role_id, project_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE invitation (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    email TEXT NOT NULL,
    email_fold TEXT NOT NULL,
    role_id BLOB NOT NULL,
    inviter TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, email_fold),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id)
) STRICT;

-- scope: a hash over organization, credential, method, path and the client's key. answer: NULL while it runs,
-- then sealed under a key that the client's key is needed for.
CREATE TABLE idempotency (
    scope BLOB NOT NULL PRIMARY KEY,
    request BLOB NOT NULL,
    answer BLOB,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_created ON idempotency (created_at);
