-- How many living tokens an organization has: too many to count them for each further one.
ALTER TABLE organization ADD COLUMN token_count BIGINT NOT NULL DEFAULT 0;
UPDATE organization SET token_count = (
    SELECT count(*) FROM token t WHERE t.organization_id = organization.id AND t.revoked_at IS NULL
);

-- holder_id: whose key it is, an organization or a user. Those from before end within the hour.
ALTER TABLE idempotency ADD COLUMN holder_id UUID;
CREATE INDEX idempotency_holder ON idempotency (holder_id);

-- Living tokens in the order of their creation, page by page.
CREATE INDEX token_page ON token (organization_id, kind, id) WHERE revoked_at IS NULL;
