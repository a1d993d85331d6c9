-- The policy of a policy token, in Rego. What one version of it has allowed, another one has not: `written_at` tells them apart.
CREATE TABLE rego_policy (
    token_id BLOB NOT NULL PRIMARY KEY REFERENCES token (id),
    source TEXT NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;
