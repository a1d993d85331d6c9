-- What each provider that proved a session calls its own session: a logout at any of them ends ours.
CREATE TABLE provider_session (
    session_id UUID NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (session_id, provider)
);
CREATE INDEX provider_session_name ON provider_session (provider, name);

-- Of sessions that two providers had proved, one of the names was lost: their people sign in again, and nobody has to know which.
DELETE FROM session WHERE methods LIKE '%oidc:%oidc:%';
INSERT INTO provider_session (session_id, provider, name)
SELECT id, substring(methods FROM 'oidc:([a-z0-9]+)'), provider_session
FROM session WHERE provider_session IS NOT NULL AND methods LIKE '%oidc:%';
ALTER TABLE session DROP COLUMN provider_session;
