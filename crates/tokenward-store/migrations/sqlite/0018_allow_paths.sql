-- How the servers of an API are known to read paths: words with a comma between.
ALTER TABLE api ADD COLUMN allow_paths TEXT NOT NULL DEFAULT '';
