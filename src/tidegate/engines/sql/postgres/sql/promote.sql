-- Before a claim: what is past its expires_at leaves the lines, what became due joins them, in the order of its due
-- time; of each 1,000 at most, so that the cost of one claim has a bound. Jobs that another claim is moving are left
-- to it. Returns whether due jobs may be left.
CREATE OR REPLACE FUNCTION promote(_now bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    _seqs bigint[];
    _lines integer[];
    _users text[];
    _priorities smallint[];
    _kept bigint[];
BEGIN
    _seqs := ARRAY(
        SELECT jobs.seq FROM jobs
        WHERE jobs.stage IN (0, 1) AND jobs.stage < 4 AND jobs.expires_at IS NOT NULL AND jobs.expires_at <= _now
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    IF _seqs <> '{}' THEN
        UPDATE jobs SET stage = CASE jobs.stage WHEN 0 THEN 3 ELSE 2 END WHERE jobs.seq = ANY (_seqs);
    END IF;
    SELECT array_agg(due.seq), array_agg(due.line_id), array_agg(due.user_id), array_agg(due.priority),
        array_agg(due.rank)
    INTO _seqs, _lines, _users, _priorities, _kept
    FROM (
        SELECT jobs.seq, jobs.line_id, jobs.user_id, jobs.priority, jobs.rank FROM jobs
        WHERE jobs.stage = 0 AND jobs.run_at <= _now AND (jobs.expires_at IS NULL OR jobs.expires_at > _now)
        ORDER BY jobs.run_at, jobs.seq LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) AS due;
    IF _seqs IS NULL THEN
        RETURN false;
    END IF;
    UPDATE jobs SET stage = 1, rank = placed.rank
    FROM unnest(_seqs, place(_lines, _users, _priorities, _kept)) AS placed(seq, rank)
    WHERE jobs.seq = placed.seq;
    RETURN cardinality(_seqs) = 1000;
END
$$
