-- Links by which somebody chooses a new password, mailed to the address of the account: one of an account at most, and of each a
-- digest.
CREATE TABLE password_reset (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL UNIQUE REFERENCES account (id),
    digest BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;

-- Changes of the address of an account. Until one is done the digest is that of the link which was mailed to the new address;
-- from then on that of the link by which the old address undoes it.
CREATE TABLE email_change (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL REFERENCES account (id),
    old_email TEXT NOT NULL,
    old_email_fold TEXT NOT NULL,
    new_email TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    done_at INTEGER,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX email_change_account ON email_change (account_id);
CREATE INDEX email_change_reserved ON email_change (old_email_fold);
