-- A token can be narrowed to some permissions of its role: a JSON list of them.
ALTER TABLE token ADD COLUMN permissions TEXT;
