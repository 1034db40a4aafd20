-- dismiss: see `ports.JobAdmin.dismiss`. Returns, for every job of `_ids` that there is, its answer.
CREATE OR REPLACE FUNCTION dismiss(_at bigint, _ids uuid[])
RETURNS TABLE (job_id text, answer text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _seqs bigint[] := ARRAY(SELECT specs.seq FROM specs WHERE specs.id = ANY (_ids));
    _now bigint;
BEGIN
    PERFORM 1 FROM jobs WHERE jobs.seq = ANY (_seqs) AND jobs.status = 'failed' ORDER BY jobs.seq FOR UPDATE;
    _now := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    WITH gone AS (
        UPDATE jobs SET dismissed_at = _now, steps = steps + 1
        WHERE jobs.seq = ANY (_seqs) AND jobs.status = 'failed' AND jobs.dismissed_at IS NULL
        RETURNING jobs.seq, jobs.steps, jobs.runs
    )
    INSERT INTO history (seq, n, at, event, run)
    SELECT gone.seq, gone.steps, _now, 'dismissed', gone.runs FROM gone;
    RETURN QUERY
    SELECT specs.id::text, CASE WHEN jobs.status = 'failed' THEN 'dismissed' ELSE 'illegal' END
    FROM jobs JOIN specs ON specs.seq = jobs.seq WHERE jobs.seq = ANY (_seqs);
END
$$
