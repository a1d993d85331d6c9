-- How tokens were used, a row a token and day (days since 1970-01-01, UTC). What was presented and is no token of the organization
-- counts under the id that is all zeros.
CREATE TABLE usage_day (
    organization_id uuid NOT NULL REFERENCES organization (id),
    token_id uuid NOT NULL,
    day bigint NOT NULL,
    allowed bigint NOT NULL,
    denied bigint NOT NULL,
    PRIMARY KEY (organization_id, token_id, day)
);

-- Why the answer was no, of those that had one.
CREATE TABLE usage_denied (
    organization_id uuid NOT NULL REFERENCES organization (id),
    token_id uuid NOT NULL,
    day bigint NOT NULL,
    reason text NOT NULL,
    denied bigint NOT NULL,
    PRIMARY KEY (organization_id, token_id, day, reason)
);

-- On which day a token was last allowed something that takes this permission of the organization's own API.
CREATE TABLE permission_used (
    token_id uuid NOT NULL,
    permission text NOT NULL,
    day bigint NOT NULL,
    PRIMARY KEY (token_id, permission)
);
CREATE INDEX permission_used_day ON permission_used (day);

-- What is too old is taken out by day, and pages look at one organization's days.
CREATE INDEX usage_day_day ON usage_day (day);
CREATE INDEX usage_denied_day ON usage_denied (day);
CREATE INDEX usage_day_of ON usage_day (organization_id, day);
CREATE INDEX usage_denied_of ON usage_denied (organization_id, day);
