-- A token has labels, to find it by, and metadata, which is kept as it comes: JSON objects, or nothing where they are empty.
ALTER TABLE token ADD COLUMN labels TEXT;
ALTER TABLE token ADD COLUMN metadata TEXT;
