-- Every token has a member who is accountable for it, and may have one who takes it over when that member leaves.
ALTER TABLE token ADD COLUMN owner_id UUID;
ALTER TABLE token ADD COLUMN successor_id UUID;
-- Until now: whoever made it, or made the token that made it.
WITH RECURSIVE made (id, owner_id) AS (
    SELECT id, creator_id FROM token WHERE creator_kind = 'user' AND creator_id IS NOT NULL
    UNION SELECT t.id, m.owner_id FROM token t JOIN made m ON t.creator_id = m.id AND t.creator_kind = 'token'
)
UPDATE token SET owner_id = made.owner_id FROM made WHERE token.id = made.id;
CREATE INDEX token_owner ON token (organization_id, owner_id) WHERE revoked_at IS NULL;
