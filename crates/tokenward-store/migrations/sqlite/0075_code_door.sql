-- How many codes in a row were wrong at an account by somebody who has proved something there besides the password: a device in which
-- somebody has signed in, the holder of a link, a provider, a session. Strangers are counted apart (code_failure): they hold nobody up.
CREATE TABLE code_door (
    account_id BLOB NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    door TEXT NOT NULL,
    failures INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, door)
) STRICT;
