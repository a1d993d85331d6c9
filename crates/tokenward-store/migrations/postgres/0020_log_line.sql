-- A log has a line of ancestors: a database that was put back, or a server that took over, goes on under another name, so
-- that a position never means two things. after_position: the last one that a log shares with the one before it.
-- why: first, moved, rewound, restored.
CREATE TABLE log_line (
    incarnation UUID NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    after_position BIGINT NOT NULL,
    begun_at BIGINT NOT NULL,
    why TEXT NOT NULL
);
INSERT INTO log_line (incarnation, number, after_position, begun_at, why)
    SELECT incarnation, 1, 0, created_at, 'first' FROM meta;

-- Where the log was written last: server, timeline and table, as far as the server tells.
ALTER TABLE log_head ADD COLUMN place TEXT;

-- What stood in the part of a log that was lost, as far as a node knows it. repaired: it was taken away again.
CREATE TABLE log_lost (
    incarnation UUID NOT NULL,
    position BIGINT NOT NULL,
    organization_id UUID,
    kind TEXT NOT NULL,
    target_id UUID NOT NULL,
    time BIGINT NOT NULL,
    repaired BOOLEAN NOT NULL,
    PRIMARY KEY (incarnation, position)
);
CREATE INDEX log_lost_organization ON log_lost (organization_id);

-- Who has read that an organization's log was moved or lost something.
CREATE TABLE log_line_read (
    organization_id UUID NOT NULL REFERENCES organization (id),
    incarnation UUID NOT NULL REFERENCES log_line (incarnation),
    read_at BIGINT NOT NULL,
    read_by TEXT NOT NULL,
    PRIMARY KEY (organization_id, incarnation)
);

-- Under which name a node follows the log.
ALTER TABLE node ADD COLUMN log UUID;
