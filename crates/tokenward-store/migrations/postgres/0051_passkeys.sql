-- Passkeys: what opens an account besides passwords and identities. `credential` is the public key with what is to be known of
-- it, as JSON; `rp_id` the host, or parent domain of it, for which it was made. `counter` is what it said last.
CREATE TABLE passkey (
    id UUID NOT NULL PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES account (id),
    credential_id BYTEA NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    rp_id TEXT NOT NULL,
    counter BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkey_account ON passkey (account_id);

-- What authenticators call an account: random, so that it tells nothing about it.
CREATE TABLE passkey_user (
    account_id UUID NOT NULL PRIMARY KEY REFERENCES account (id),
    handle BYTEA NOT NULL UNIQUE
);
