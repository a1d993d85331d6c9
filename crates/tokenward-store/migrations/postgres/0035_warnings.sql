-- Of which end of a token its owner was warned, and so many days before it the last time.
ALTER TABLE token ADD COLUMN warned_end BIGINT;
ALTER TABLE token ADD COLUMN warned_days BIGINT;
