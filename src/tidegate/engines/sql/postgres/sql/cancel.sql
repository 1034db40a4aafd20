-- cancel: see `ports.JobAdmin.cancel`.
--
-- Returns, for every job of `_ids` that there is, its answer and the queue it stands in.
CREATE OR REPLACE FUNCTION cancel(_at bigint, _ids uuid[], _nonce text)
RETURNS TABLE (job_id text, answer text, in_queue text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _seqs bigint[] := ARRAY(SELECT specs.seq FROM specs WHERE specs.id = ANY (_ids));
    _done bigint[];
    _now bigint;
BEGIN
    PERFORM 1 FROM jobs WHERE jobs.seq = ANY (_seqs) ORDER BY jobs.seq FOR UPDATE;
    _now := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    WITH done AS (
        UPDATE jobs SET status = 'cancelled', stage = 4, rank = NULL, finished_at = _now, cancelled_by = _nonce,
            prune_at = least(_now + greatest(terms.kept_cancelled, 600000000), 253402300799999999), steps = steps + 1
        FROM specs JOIN terms ON terms.id = specs.terms_id
        WHERE jobs.seq = ANY (_seqs) AND specs.seq = jobs.seq
            AND jobs.status = 'queued' AND jobs.cancelled_by IS DISTINCT FROM _nonce
        RETURNING jobs.seq
    ) SELECT array_agg(done.seq) INTO _done FROM done;
    IF _done IS NOT NULL THEN
        PERFORM ended(_done, 'cancelled', '');
    END IF;
    WITH asked AS (
        UPDATE jobs SET cancel_requested_at = _now, cancelled_by = _nonce, steps = steps + 1
        WHERE jobs.seq = ANY (_seqs) AND jobs.status = 'running' AND jobs.cancel_requested_at IS NULL
            AND jobs.cancelled_by IS DISTINCT FROM _nonce
        RETURNING jobs.seq, jobs.steps, jobs.runs
    )
    INSERT INTO history (seq, n, at, event, run)
    SELECT asked.seq, asked.steps, _now, 'cancel_requested', asked.runs FROM asked;
    RETURN QUERY
    SELECT specs.id::text, CASE
            WHEN jobs.status = 'running' AND jobs.cancel_requested_at IS NOT NULL THEN 'requested'
            WHEN jobs.cancelled_by = _nonce THEN 'cancelled'
            ELSE 'finished'
        END, lines.queue
    FROM jobs JOIN specs ON specs.seq = jobs.seq JOIN lines ON lines.id = jobs.line_id
    WHERE jobs.seq = ANY (_seqs);
END
$$
