-- What each provider that proved a session calls its own session: a logout at any of them ends ours.
CREATE TABLE provider_session (
    session_id BLOB NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (session_id, provider)
) STRICT;
CREATE INDEX provider_session_name ON provider_session (provider, name);

-- Of sessions that two providers had proved, one of the names was lost: their people sign in again, and nobody has to know which.
DELETE FROM session WHERE methods LIKE '%oidc:%oidc:%';
INSERT INTO provider_session (session_id, provider, name)
SELECT id, substr(methods, instr(methods, 'oidc:') + 5, instr(substr(methods || ' ', instr(methods, 'oidc:') + 5), ' ') - 1),
    provider_session
FROM session WHERE provider_session IS NOT NULL AND methods LIKE '%oidc:%';
ALTER TABLE session DROP COLUMN provider_session;
