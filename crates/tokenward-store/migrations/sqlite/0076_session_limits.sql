-- In microseconds: within how long before a request somebody must have proved who that is, and for how long a session may lie unused;
-- null leaves what the server says.
ALTER TABLE organization ADD COLUMN session_lifetime INTEGER;
ALTER TABLE organization ADD COLUMN session_idle INTEGER;
-- For how long nobody has used a session since it was proved, as far as an organization asks about it.
ALTER TABLE session ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;
