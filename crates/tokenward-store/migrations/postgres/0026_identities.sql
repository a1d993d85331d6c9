-- Who somebody is to a provider, and whose account that opens. `email` is what the provider said when it was linked.
CREATE TABLE identity (
    id UUID NOT NULL PRIMARY KEY,
    account_id UUID NOT NULL REFERENCES account (id),
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    email TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    UNIQUE (issuer, subject)
);
CREATE INDEX identity_account ON identity (account_id);

-- Sign-ins that came back from a provider, until they would have ended anyway: each works once, on all nodes.
CREATE TABLE sign_in_attempt (
    digest BYTEA NOT NULL PRIMARY KEY,
    ends_at BIGINT NOT NULL
);
