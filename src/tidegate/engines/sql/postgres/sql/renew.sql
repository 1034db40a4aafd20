-- renew: see `ports.JobQueue.renew`.
--
-- _ids, _tokens: the leases, each once. _fractions, _messages: its progress; no message, no progress.
-- Returns the leases that are current, and whether their cancel was requested.
CREATE OR REPLACE FUNCTION renew(
    _at bigint, _ids uuid[], _tokens text[], _fractions text[], _messages text[], _lease_for bigint
) RETURNS TABLE (id uuid, token text, cancelling boolean)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
BEGIN
    RETURN QUERY
    UPDATE jobs SET lease_until = _now + _lease_for,
        progress_fraction = CASE WHEN held.message IS NULL THEN jobs.progress_fraction ELSE held.fraction END,
        progress_message = coalesce(held.message, jobs.progress_message)
    FROM (
        SELECT specs.seq, a.id, a.token, a.fraction, a.message
        FROM unnest(_ids, _tokens, _fractions, _messages) AS a(id, token, fraction, message)
        JOIN specs ON specs.id = a.id ORDER BY specs.seq OFFSET 0
    ) AS held
    WHERE jobs.seq = held.seq AND jobs.token = held.token
    RETURNING held.id, held.token, jobs.cancel_requested_at IS NOT NULL;
END
$$
