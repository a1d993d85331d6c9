-- What an import left out of a document, so that it is not opened in silence afterwards. left_out: operations that are on
-- no route. notes: a JSON array.
ALTER TABLE api ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api ADD COLUMN notes TEXT NOT NULL DEFAULT '[]';
