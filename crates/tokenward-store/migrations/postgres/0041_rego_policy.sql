-- The policy of a policy token, in Rego. What one version of it has allowed, another one has not: `written_at` tells them apart.
CREATE TABLE rego_policy (
    token_id uuid NOT NULL PRIMARY KEY REFERENCES token (id),
    source text NOT NULL,
    written_at bigint NOT NULL
);
