-- Secrets that somebody else made, who told their digests.
ALTER TABLE token_secret ADD COLUMN registered INTEGER NOT NULL DEFAULT 0;
