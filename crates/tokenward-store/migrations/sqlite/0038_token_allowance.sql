-- How fast and how much a token may be used, as JSON; and how much of its quota was used in the window that was used last.
ALTER TABLE token ADD COLUMN allowance TEXT;
CREATE TABLE token_quota (
    token_id BLOB NOT NULL PRIMARY KEY REFERENCES token (id),
    quota_window INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;
