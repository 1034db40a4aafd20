-- prune: see `ports.JobAdmin.prune`.
--
-- Returns the ids of up to `_most` pruned jobs, oldest first. Of keys, nonces, grants and workers up to `_lot` each
-- are forgotten with them; a key stays while a job with its id is there, be it a later one. What another transaction
-- holds is left to the next call.
CREATE OR REPLACE FUNCTION prune(_at bigint, _most integer, _lot integer)
RETURNS TABLE (job_id text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    _seqs bigint[] := ARRAY(
        SELECT jobs.seq FROM jobs WHERE jobs.prune_at <= _now
        ORDER BY jobs.prune_at, jobs.seq LIMIT _most FOR UPDATE SKIP LOCKED
    );
BEGIN
    UPDATE idempotency SET forget_at = jobs.finished_at + 86400000000 FROM specs JOIN jobs ON jobs.seq = specs.seq
    WHERE specs.seq = ANY (_seqs) AND idempotency.user_id = specs.user_id
        AND idempotency.key = specs.idempotency_key AND idempotency.job_id = specs.id;
    DELETE FROM jobs WHERE jobs.seq = ANY (_seqs);
    DELETE FROM history WHERE history.seq = ANY (_seqs);
    RETURN QUERY
    WITH gone AS (DELETE FROM specs WHERE specs.seq = ANY (_seqs) RETURNING specs.seq, specs.id::text)
    SELECT gone.id FROM gone ORDER BY array_position(_seqs, gone.seq);
    DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM idempotency AS old
        WHERE old.forget_at <= _now AND NOT EXISTS (SELECT 1 FROM specs WHERE specs.id = old.job_id)
        ORDER BY old.forget_at LIMIT _lot FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM nonces WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM nonces AS old WHERE old.until <= _now
        ORDER BY old.until LIMIT _lot FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM grants WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM grants AS old WHERE old.until <= _now
        ORDER BY old.until LIMIT _lot FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM workers WHERE ctid = ANY (ARRAY(
        SELECT old.ctid FROM workers AS old WHERE old.until <= _now LIMIT _lot FOR UPDATE SKIP LOCKED
    ));
END
$$
