-- When the organization asked two factors of sessions, and for how many days from then on it refuses nobody; null asks for none.
ALTER TABLE organization ADD COLUMN two_factors_at INTEGER;
ALTER TABLE organization ADD COLUMN two_factors_grace INTEGER;
