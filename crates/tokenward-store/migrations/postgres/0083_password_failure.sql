-- Wrong passwords, as all nodes count them: by a keyed digest of whom they are about and from where they come. Each is forgiven after
-- a while, one after the other; `forgiven_at` is when the last one is.
CREATE TABLE password_failure (
    digest bytea PRIMARY KEY,
    forgiven_at bigint NOT NULL,
    wait_until bigint NOT NULL
);
CREATE INDEX password_failure_forgiven ON password_failure (forgiven_at);
