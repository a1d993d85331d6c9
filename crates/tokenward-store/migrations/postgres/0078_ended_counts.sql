-- How many tokens of an organization were taken back is counted from an index that has only those.
CREATE INDEX token_taken_back_of ON token (organization_id, kind, revoked_at) WHERE revoked_at IS NOT NULL;

-- Reasons of denials go with their token, which they did not until now.
DELETE FROM token_denied WHERE NOT EXISTS (SELECT 1 FROM token t WHERE t.id = token_denied.token_id);
