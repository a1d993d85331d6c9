-- A step of SQLite alone; PostgreSQL renews its statistics itself.
SELECT 1;
