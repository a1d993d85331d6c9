-- Wrong passwords, as all nodes count them: by a keyed digest of whom they are about and from where they come. Each is forgiven after
-- a while, one after the other; `forgiven_at` is when the last one is.
CREATE TABLE password_failure (
    digest BLOB PRIMARY KEY NOT NULL,
    forgiven_at INTEGER NOT NULL,
    wait_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX password_failure_forgiven ON password_failure (forgiven_at);
