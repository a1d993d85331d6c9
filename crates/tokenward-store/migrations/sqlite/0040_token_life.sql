-- In which minutes a token is refused, to learn who would miss it: the first one, the end, how far apart, and how many, in minutes.
ALTER TABLE token ADD COLUMN brownout TEXT;

-- When somebody last said that a token is still needed; since when that is asked, and whether an answer was to come already.
ALTER TABLE token ADD COLUMN attested_at INTEGER;
ALTER TABLE token ADD COLUMN attest_since INTEGER;
ALTER TABLE token ADD COLUMN attest_overdue INTEGER NOT NULL DEFAULT 0;
CREATE INDEX token_attest ON token (organization_id) WHERE attest_since IS NOT NULL;

-- When the owner and the admins were last told of tokens that end soon and that nobody uses.
ALTER TABLE organization ADD COLUMN unused_told_at INTEGER;
