-- What an organization asks of the lives of its tokens, as JSON; none where it asks nothing.
ALTER TABLE organization ADD COLUMN token_policy TEXT;
