-- Statistics that were gathered while the tables were small mislead the planner once they have grown: it then reads one
-- table whole for each row of another. Without any it takes the index. They are not gathered any more.
DROP TABLE IF EXISTS sqlite_stat1;
DROP TABLE IF EXISTS sqlite_stat4;
