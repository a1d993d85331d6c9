-- Names of these are compared whatever their case. Empty: not folded yet, because neither database folds all of Unicode;
-- the server that starts next does it. Of several that are the same then, all but the oldest stay so until they are renamed.
ALTER TABLE project ADD COLUMN name_fold TEXT NOT NULL DEFAULT '';
ALTER TABLE environment ADD COLUMN name_fold TEXT NOT NULL DEFAULT '';
ALTER TABLE cluster ADD COLUMN name_fold TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX project_name_fold ON project (organization_id, name_fold) WHERE name_fold <> '';
CREATE UNIQUE INDEX environment_name_fold ON environment (project_id, name_fold) WHERE name_fold <> '';
CREATE UNIQUE INDEX cluster_name_fold ON cluster (organization_id, name_fold) WHERE name_fold <> '';
