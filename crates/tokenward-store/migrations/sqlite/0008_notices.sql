-- Attempts at accounts that failed, counted: a row an account, kind, address and hour. Written beside the log by a worker.
-- address: empty where it was not known.
CREATE TABLE account_notice (
    account_id BLOB NOT NULL REFERENCES account (id),
    hour INTEGER NOT NULL,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, hour, kind, address)
) STRICT;
CREATE INDEX account_notice_last ON account_notice (account_id, last_at);

-- What happened to accounts, which belong to no organization.
CREATE INDEX event_of_account ON event (target_id, position) WHERE organization_id IS NULL;
CREATE INDEX event_related_account ON event (related_id, position) WHERE organization_id IS NULL;
