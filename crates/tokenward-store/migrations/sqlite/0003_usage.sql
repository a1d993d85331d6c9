-- How tokens are used. Written by a worker at most once a token and minute, beside the log: nobody follows it.

-- No key to `token`: one that is gone must not make the counts of the others unwritable.
CREATE TABLE token_usage (
    token_id BLOB NOT NULL PRIMARY KEY,
    last_used_at INTEGER NOT NULL,
    last_used_from TEXT,
    last_used_agent TEXT,
    allowed INTEGER NOT NULL
) STRICT;

CREATE TABLE token_denied (
    token_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    denied INTEGER NOT NULL,
    PRIMARY KEY (token_id, reason)
) STRICT;
