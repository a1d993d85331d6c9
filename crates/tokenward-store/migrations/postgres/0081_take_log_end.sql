-- The end of the log, for a batch that was decided on somewhere behind it: everything that is to be done while nobody else may write
-- is done here, so that the log is held for no more than that and for the commit, and for no way to whoever asks.
--
-- The batch is written where all that was written since `known_position` made tokens, or took back or rotated tokens that are not among
-- those that must be `apart`. `rests` are what the hashes of its events cover behind the hash and the position before. What is
-- written at an earlier time than the last event is not written, nor what was written to another place.
--
-- Each query has a snapshot of its own, which is later than the lock (the function is volatile, and the isolation READ COMMITTED).
-- In a young database, of which nothing is known yet, a plan would read the whole log for the end of it.
CREATE FUNCTION take_log_end(
    known_position BIGINT,
    known_hash BYTEA,
    least_position BIGINT,
    known_place TEXT,
    present_place TEXT,
    moment BIGINT,
    estimate BIGINT,
    apart UUID[],
    rests BYTEA[],
    OUT taken BOOLEAN,
    OUT shift BIGINT,
    OUT hash_before BYTEA,
    OUT hashes BYTEA[],
    OUT latest BIGINT,
    OUT waited BIGINT,
    OUT makers_of UUID[],
    OUT touched UUID[]
) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $body$
DECLARE
    asked CONSTANT TIMESTAMPTZ := clock_timestamp();
    head_position BIGINT;
    head_place TEXT;
    is_known BOOLEAN;
    fits BOOLEAN;
    one BYTEA;
    last_position BIGINT;
    last_hash BYTEA;
BEGIN
    taken := false;
    hashes := ARRAY[]::BYTEA[];
    SELECT h.position, h.hash, h.place INTO head_position, hash_before, head_place FROM log_head h FOR UPDATE;
    waited := (extract(epoch FROM clock_timestamp() - asked) * 1000000)::BIGINT;
    shift := head_position - known_position;
    SELECT e.time INTO latest FROM event e WHERE e.position = head_position;
    IF shift < 0 OR shift > 512 OR head_position < least_position
        OR head_place IS DISTINCT FROM known_place
        OR (present_place IS NOT NULL AND head_place IS DISTINCT FROM present_place)
        OR coalesce(latest > moment, false)
        OR abs((extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT - estimate) >= 1000000
    THEN
        RETURN;
    END IF;
    -- What is known must be a part of this log, and what came after it must leave all as it was that was decided by.
    SELECT coalesce(bool_or(r.position = known_position AND r.hash = known_hash), false)
               AND coalesce(bool_or(r.position = head_position AND r.hash = hash_before), false),
           count(*) = shift + 1 AND coalesce(bool_and(r.position = known_position OR r.kind = 'token.created'
               OR (r.kind IN ('token.deleted', 'token.rotated') AND NOT r.target_id = ANY (apart))), false),
           coalesce(array_agg(r.organization_id) FILTER (WHERE r.position > known_position AND r.kind = 'token.created'
               AND r.organization_id IS NOT NULL), ARRAY[]::UUID[]),
           coalesce(array_agg(r.target_id) FILTER (WHERE r.position > known_position AND r.kind <> 'token.created'),
               ARRAY[]::UUID[])
    INTO is_known, fits, makers_of, touched
    FROM (SELECT e.position, e.hash, e.kind, e.organization_id, e.target_id FROM event e
          WHERE e.position >= known_position ORDER BY e.position LIMIT 513) AS r;
    IF NOT (is_known AND fits) THEN
        RETURN;
    END IF;
    last_position := head_position;
    last_hash := hash_before;
    FOREACH one IN ARRAY rests LOOP
        last_position := last_position + 1;
        last_hash := sha256(last_hash || int8send(last_position) || one);
        hashes := array_append(hashes, last_hash);
    END LOOP;
    UPDATE log_head SET position = last_position, hash = last_hash;
    PERFORM pg_notify('tokenward_written', last_position::TEXT);
    taken := true;
END
$body$;
