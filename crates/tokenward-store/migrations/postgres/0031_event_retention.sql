-- How long the organization keeps what its events say, in microseconds; nothing of its own where it says nothing.
ALTER TABLE organization ADD COLUMN event_retention BIGINT;
