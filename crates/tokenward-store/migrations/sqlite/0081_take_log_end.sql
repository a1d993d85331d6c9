-- A step of PostgreSQL alone: nobody but the one server writes to an SQLite file.
SELECT 1;
