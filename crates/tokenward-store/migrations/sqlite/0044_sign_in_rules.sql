-- Whom a provider says this of has this role: of an organization's rules the first that fits counts.
CREATE TABLE sign_in_rule (
    organization_id BLOB NOT NULL REFERENCES organization (id),
    position INTEGER NOT NULL,
    provider TEXT NOT NULL,
    value TEXT NOT NULL,
    role_id BLOB NOT NULL REFERENCES role (id),
    PRIMARY KEY (organization_id, position),
    UNIQUE (organization_id, provider, value)
) STRICT;
CREATE INDEX sign_in_rule_provider ON sign_in_rule (provider);

-- The rule that made a membership, which follows it; none of one that was made by hand.
ALTER TABLE member ADD COLUMN rule_provider TEXT;
ALTER TABLE member ADD COLUMN rule_value TEXT;

-- The claim that the provider was to say groups in when the session began, where it did not.
ALTER TABLE session ADD COLUMN absent_claim TEXT;
