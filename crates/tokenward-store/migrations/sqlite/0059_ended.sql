-- What has ended. ended_token_retention: how long it is told of a token, in microseconds; nothing is the usual time.
ALTER TABLE meta ADD COLUMN ended_token_retention INTEGER;

-- A token whose time is over is marked by freeing its name, by whoever wants that or by the worker. What was neither taken back nor
-- marked is what counts, and what the start reads.
UPDATE organization SET token_count = (
    SELECT count(*) FROM token t WHERE t.organization_id = organization.id AND t.revoked_at IS NULL AND t.name_freed_at IS NULL
);
CREATE INDEX token_living ON token (id) WHERE revoked_at IS NULL AND name_freed_at IS NULL;
CREATE INDEX token_over ON token (expires_at) WHERE revoked_at IS NULL AND name_freed_at IS NULL;
-- What is to be removed, the oldest first.
CREATE INDEX token_taken_back ON token (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX token_marked ON token (expires_at) WHERE revoked_at IS NULL AND name_freed_at IS NOT NULL;
CREATE INDEX token_secret_over ON token_secret (expires_at) WHERE expires_at IS NOT NULL;

-- A digest that was used once is used for ever: 16 bytes of it under a key that no rotation changes. It stands with its secret,
-- and here once the row of that is gone. Of what was made before there was such a key, as much of the stored digest.
ALTER TABLE token_secret ADD COLUMN used BLOB;
CREATE TABLE used_digest (digest BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
-- That key, sealed under the pepper.
ALTER TABLE meta ADD COLUMN registration_key TEXT;
