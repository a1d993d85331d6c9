-- A token can be bound to a time from which on it is accepted, and to networks: a JSON list of [network, note or null].
ALTER TABLE token ADD COLUMN not_before BIGINT;
ALTER TABLE token ADD COLUMN networks TEXT;
