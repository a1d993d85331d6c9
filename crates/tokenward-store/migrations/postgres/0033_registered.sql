-- Secrets that somebody else made, who told their digests.
ALTER TABLE token_secret ADD COLUMN registered BOOLEAN NOT NULL DEFAULT FALSE;
