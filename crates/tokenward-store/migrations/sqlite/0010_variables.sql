-- The key of the built-in variable that an alias stands for: those have no row that parent_id could name.
ALTER TABLE variable ADD COLUMN built_in_parent TEXT;

-- Variables whose key another kind of variable has taken over, for a day: clients delete the old one after they have made
-- the new one, and must not be told that something else is gone.
CREATE TABLE variable_replaced (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    project_id BLOB NOT NULL,
    environment_id BLOB,
    is_secret INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    FOREIGN KEY (organization_id, project_id) REFERENCES project (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, environment_id) REFERENCES environment (organization_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX variable_replaced_at ON variable_replaced (organization_id, replaced_at);
