-- Passkeys: what opens an account besides passwords and identities. `credential` is the public key with what is to be known of
-- it, as JSON; `rp_id` the host, or parent domain of it, for which it was made. `counter` is what it said last.
CREATE TABLE passkey (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id),
    credential_id BLOB NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    rp_id TEXT NOT NULL,
    counter INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX passkey_account ON passkey (account_id);

-- What authenticators call an account: random, so that it tells nothing about it.
CREATE TABLE passkey_user (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id),
    handle BLOB NOT NULL UNIQUE
) STRICT;
