-- A session that reaches one organization alone.
ALTER TABLE session ADD COLUMN organization_id UUID REFERENCES organization (id);

-- Does the organization refuse sessions that were given to another machine by a code (RFC 8628)?
ALTER TABLE organization ADD COLUMN forbids_device BOOLEAN NOT NULL DEFAULT FALSE;

-- Machines that ask to be signed in: a browser somewhere else approves by the short code. Of both codes a digest is kept. A row
-- goes when its token is handed out, or when it has ended. `session_id` is the session that approved, of which the new one
-- inherits the proof.
CREATE TABLE device_sign_in (
    id UUID NOT NULL PRIMARY KEY,
    device_digest BYTEA NOT NULL UNIQUE,
    user_digest BYTEA NOT NULL UNIQUE,
    host TEXT NOT NULL,
    client TEXT,
    address TEXT,
    network TEXT,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    wait BIGINT NOT NULL,
    denied BOOLEAN NOT NULL DEFAULT FALSE,
    account_id UUID REFERENCES account (id),
    session_id UUID,
    organization_id UUID,
    life BIGINT
);

-- Short codes that somebody typed and that were none.
CREATE TABLE device_guess (
    account_id UUID NOT NULL PRIMARY KEY REFERENCES account (id),
    count BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
