-- The authenticator of an account. Its seed is sealed under the pepper of that version; one that must not work any more has none.
-- `last_step` is the last step of time of which a code was taken: none before it counts.
CREATE TABLE authenticator (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id),
    id BLOB NOT NULL UNIQUE,
    sealed BLOB NOT NULL,
    pepper_version INTEGER NOT NULL,
    last_step INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;

-- Recovery codes that were not used. What is kept of each is its digest, sealed under the pepper of that version.
CREATE TABLE recovery_code (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id),
    sealed BLOB NOT NULL,
    pepper_version INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_code_account ON recovery_code (account_id);

-- How many codes in a row were wrong at an account, and when the last one was: for all nodes.
CREATE TABLE code_failure (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id),
    failures INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;

-- Does the link take away the second factor when it is used?
ALTER TABLE sign_in_link ADD COLUMN resets_second_factor INTEGER NOT NULL DEFAULT 0;
