-- Did the node that noted what was lost know what was taken away by it? One that did not has taken nothing away again.
ALTER TABLE log_lost ADD COLUMN known INTEGER NOT NULL DEFAULT 1;
