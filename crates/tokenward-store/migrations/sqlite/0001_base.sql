-- Times are UTC in microseconds. Identifiers are UUIDv7, 16 bytes.

CREATE TABLE meta (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The end of the log. Every transaction that changes anything locks this row, as its last act before the commit.
CREATE TABLE log_head (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    position INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- The skeleton: what stays for ever. `hash` covers the row and the hash before it.
CREATE TABLE event (
    position INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    organization_id BLOB,
    kind TEXT NOT NULL,
    target_id BLOB NOT NULL,
    related_id BLOB,
    payload_digest BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX event_organization ON event (organization_id, position);

-- What can be erased: SHA-256(salt, payload) stays in the skeleton.
CREATE TABLE event_payload (
    position INTEGER NOT NULL PRIMARY KEY REFERENCES event (position),
    salt BLOB NOT NULL,
    payload TEXT NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,
    project_id BLOB,
    environment_id BLOB
) STRICT;

-- Proof that the right pepper is at hand; the pepper itself is never here.
CREATE TABLE pepper (
    version INTEGER NOT NULL PRIMARY KEY,
    check_value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id BLOB NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_fold TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    communication_email TEXT,
    password_hash TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL
) STRICT;

-- A deleted organization keeps its row: the digests of its tokens must never be usable again.
CREATE TABLE organization (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_fold TEXT NOT NULL,
    description TEXT,
    plan TEXT NOT NULL,
    website_url TEXT,
    repository TEXT,
    logo_url TEXT,
    icon_url TEXT,
    admin_emails TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX organization_name ON organization (name_fold) WHERE deleted_at IS NULL;

-- kind: custom, or the name of a built-in role. permissions: a JSON array of texts.
CREATE TABLE role (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    name_fold TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, name_fold)
) STRICT;

CREATE TABLE member (
    organization_id BLOB NOT NULL REFERENCES organization (id),
    account_id BLOB NOT NULL REFERENCES account (id),
    role_id BLOB NOT NULL,
    is_owner INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, account_id),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX member_owner ON member (organization_id) WHERE is_owner = 1;
CREATE INDEX member_account ON member (account_id);

-- role_id is NULL only for a revoked token whose role was deleted.
CREATE TABLE token (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organization (id),
    kind TEXT NOT NULL,
    role_id BLOB,
    name TEXT NOT NULL,
    description TEXT,
    creator_id BLOB,
    creator_name TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    CHECK (role_id IS NOT NULL OR revoked_at IS NOT NULL),
    FOREIGN KEY (organization_id, role_id) REFERENCES role (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX token_name ON token (organization_id, kind, name) WHERE revoked_at IS NULL;
CREATE INDEX token_role ON token (role_id);

-- Rows are never deleted: a digest once used can never be registered again.
CREATE TABLE token_secret (
    id BLOB NOT NULL PRIMARY KEY,
    token_id BLOB NOT NULL REFERENCES token (id),
    digest BLOB NOT NULL UNIQUE,
    pepper_version INTEGER NOT NULL REFERENCES pepper (version),
    last_four TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX token_secret_token ON token_secret (token_id);

CREATE TABLE session (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id),
    digest BLOB NOT NULL UNIQUE,
    pepper_version INTEGER NOT NULL REFERENCES pepper (version),
    console INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    address TEXT,
    user_agent TEXT
) STRICT;
CREATE INDEX session_account ON session (account_id);

CREATE TABLE sign_in_link (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id),
    digest BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;
