-- revive: see `ports.JobAdmin.revive`.
--
-- Jobs are placed as new ones, in the order of `_ids`. Returns, for every job of `_ids` that there is, its answer
-- and the queue it stands in.
CREATE OR REPLACE FUNCTION revive(_at bigint, _ids uuid[], _nonce text)
RETURNS TABLE (job_id text, answer text, in_queue text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _seqs bigint[] := ARRAY(SELECT specs.seq FROM specs WHERE specs.id = ANY (_ids));
    _fresh bigint[];
    _lines integer[];
    _users text[];
    _priorities smallint[];
    _ranks bigint[];
    _now bigint;
BEGIN
    PERFORM 1 FROM jobs WHERE jobs.seq = ANY (_seqs) AND jobs.status IN ('failed', 'cancelled')
    ORDER BY jobs.seq FOR UPDATE;
    _now := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    SELECT array_agg(jobs.seq ORDER BY array_position(_ids, specs.id)),
        array_agg(specs.line_id ORDER BY array_position(_ids, specs.id)),
        array_agg(specs.user_id ORDER BY array_position(_ids, specs.id)),
        array_agg(specs.priority ORDER BY array_position(_ids, specs.id))
    INTO _fresh, _lines, _users, _priorities
    FROM jobs JOIN specs ON specs.seq = jobs.seq
    WHERE jobs.seq = ANY (_seqs) AND jobs.status IN ('failed', 'cancelled')
        AND jobs.revived_by IS DISTINCT FROM _nonce;
    IF _fresh IS NOT NULL THEN
        _ranks := place(_lines, _users, _priorities, array_fill(NULL::bigint, ARRAY[cardinality(_fresh)]));
        UPDATE jobs SET status = 'queued', stage = 1, line_id = f.line_id, rank = f.rank, revived_by = _nonce,
            steps = steps + 1, run_at = _now, due_at = _now, base = runs, upstream_faults = 0, crashes = 0,
            interruptions = 0, expires_at = NULL, started_at = NULL, finished_at = NULL, timeout_at = NULL,
            cancel_requested_at = NULL, dismissed_at = NULL, prune_at = NULL, progress_fraction = NULL,
            progress_message = NULL, result = NULL, result_path = NULL, error_code = NULL, error_message = NULL,
            error_more = NULL, degraded = 0, served_by = NULL
        FROM unnest(_fresh, _lines, _ranks) AS f(seq, line_id, rank) WHERE jobs.seq = f.seq;
        INSERT INTO history (seq, n, at, event, run)
        SELECT jobs.seq, jobs.steps, _now, 'revived', jobs.runs FROM jobs WHERE jobs.seq = ANY (_fresh);
    END IF;
    RETURN QUERY
    SELECT specs.id::text, CASE WHEN jobs.revived_by = _nonce THEN 'revived' ELSE 'illegal' END, lines.queue
    FROM jobs JOIN specs ON specs.seq = jobs.seq JOIN lines ON lines.id = jobs.line_id
    WHERE jobs.seq = ANY (_seqs);
END
$$
