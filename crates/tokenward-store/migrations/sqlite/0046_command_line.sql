-- A session that reaches one organization alone.
ALTER TABLE session ADD COLUMN organization_id BLOB REFERENCES organization (id);

-- Does the organization refuse sessions that were given to another machine by a code (RFC 8628)?
ALTER TABLE organization ADD COLUMN forbids_device INTEGER NOT NULL DEFAULT 0;

-- Machines that ask to be signed in: a browser somewhere else approves by the short code. Of both codes a digest is kept. A row
-- goes when its token is handed out, or when it has ended. `session_id` is the session that approved, of which the new one
-- inherits the proof.
CREATE TABLE device_sign_in (
    id BLOB NOT NULL PRIMARY KEY,
    device_digest BLOB NOT NULL UNIQUE,
    user_digest BLOB NOT NULL UNIQUE,
    host TEXT NOT NULL,
    client TEXT,
    address TEXT,
    network TEXT,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    wait INTEGER NOT NULL,
    denied INTEGER NOT NULL DEFAULT 0,
    account_id BLOB REFERENCES account (id),
    session_id BLOB,
    organization_id BLOB,
    life INTEGER
) STRICT;

-- Short codes that somebody typed and that were none.
CREATE TABLE device_guess (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id),
    count INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;
