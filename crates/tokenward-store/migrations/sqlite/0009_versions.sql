-- A token's secrets have numbers; the one of the newest stands with the token.
ALTER TABLE token ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE token_secret ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
DROP INDEX token_secret_token;
CREATE UNIQUE INDEX token_secret_version ON token_secret (token_id, version);

-- Use is counted for each of them. Before, a token had one.
ALTER TABLE token_usage RENAME TO token_usage_before;
CREATE TABLE token_usage (
    token_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    last_used_from TEXT,
    last_used_agent TEXT,
    allowed INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    PRIMARY KEY (token_id, version)
) STRICT;
INSERT INTO token_usage (token_id, version, last_used_at, last_used_from, last_used_agent, allowed, denied)
    SELECT token_id, 1, last_used_at, last_used_from, last_used_agent, allowed,
        (SELECT coalesce(sum(d.denied), 0) FROM token_denied d WHERE d.token_id = u.token_id)
    FROM token_usage_before u;
DROP TABLE token_usage_before;
