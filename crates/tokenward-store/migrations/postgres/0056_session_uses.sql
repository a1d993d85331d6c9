-- When, from where and with what each session was last used. A worker writes it beside the log, at most once a minute; a row
-- whose session has ended is forgotten by the sweep.
CREATE TABLE session_use (
    session_id UUID NOT NULL PRIMARY KEY,
    used_at BIGINT NOT NULL,
    address TEXT,
    user_agent TEXT
);

-- When a member was last active in this organization. None learns what somebody does in another one.
ALTER TABLE member ADD COLUMN last_activity_at BIGINT NOT NULL DEFAULT 0;
UPDATE member SET last_activity_at = created_at;
ALTER TABLE account DROP COLUMN last_activity_at;

-- Sign-ins at an account that failed and of which no event has told yet, and when the last one did.
CREATE TABLE sign_in_failure (
    account_id UUID NOT NULL PRIMARY KEY REFERENCES account (id),
    untold BIGINT NOT NULL,
    told_at BIGINT NOT NULL
);
