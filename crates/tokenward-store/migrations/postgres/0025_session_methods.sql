-- How the user of a session proved who it is: words with spaces between, none for sessions that are older. And what the provider
-- that proved it calls its own session.
ALTER TABLE session ADD COLUMN methods TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN provider_session TEXT;
