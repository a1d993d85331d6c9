-- A pepper that has retired is asked for no more. A node tells which is the newest that it holds: with a newer one nothing is
-- digested before every node holds it.
ALTER TABLE pepper ADD COLUMN retired_at BIGINT;
ALTER TABLE node ADD COLUMN pepper INTEGER;
