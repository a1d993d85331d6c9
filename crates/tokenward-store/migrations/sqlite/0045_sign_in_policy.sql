-- The providers of which one must have proved a session, with spaces between; none where any session will do.
ALTER TABLE organization ADD COLUMN sign_in_providers TEXT;
