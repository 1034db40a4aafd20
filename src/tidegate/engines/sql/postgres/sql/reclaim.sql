-- reclaim: see `ports.JobQueue.reclaim`.
--
-- _only: NULL for all jobs. Returns the jobs with their leases, in the order of their tokens.
CREATE OR REPLACE FUNCTION reclaim(
    _at bigint, _nonce text, _owner text, _limit bigint, _lease_for bigint, _overdue_by bigint, _dead text[],
    _keep text[], _only uuid[]
) RETURNS SETOF shown
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
    _late bigint := _now - _overdue_by;
    _taken bigint[] := '{}';
    _found bigint[];
    _locked bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(_nonce, 0));  -- a repeat waits for the first to come to an end
    IF EXISTS (SELECT 1 FROM nonces WHERE nonces.nonce = _nonce) THEN
        RETURN QUERY SELECT shown.* FROM shown
        WHERE shown.lease_until IS NOT NULL AND shown.owner = _owner AND starts_with(shown.token, _nonce || '.')
        ORDER BY split_part(shown.token, '.', 2)::integer;
        RETURN;
    END IF;
    -- another reaper may take what was found here before it is locked: then look for more
    WHILE cardinality(_taken) < _limit LOOP
        SELECT array_agg(found.seq) INTO _found FROM (
            SELECT either.seq FROM (
                SELECT jobs.seq, jobs.lease_until AS since FROM jobs
                WHERE _only IS NULL AND jobs.lease_until IS NOT NULL AND jobs.token <> ALL (_keep) AND (
                        jobs.lease_until <= _now OR jobs.owner = ANY (_dead)
                        OR jobs.timeout_at <= _late AND jobs.reason IS NULL
                    )
                UNION ALL
                SELECT waiting.seq, waiting.expires_at FROM unnest('{0,1,2,3}'::smallint[]) AS stages(stage)
                CROSS JOIN LATERAL (
                    SELECT jobs.seq, jobs.expires_at FROM jobs
                    WHERE _only IS NULL AND jobs.stage = stages.stage AND jobs.stage < 4
                        AND jobs.expires_at IS NOT NULL AND jobs.expires_at <= _now
                    ORDER BY jobs.expires_at, jobs.seq LIMIT _limit
                ) AS waiting
                UNION ALL
                SELECT jobs.seq, coalesce(jobs.lease_until, jobs.expires_at) FROM specs
                JOIN jobs ON jobs.seq = specs.seq
                WHERE specs.id = ANY (_only) AND (
                        jobs.lease_until IS NOT NULL AND jobs.token <> ALL (_keep) AND (
                            jobs.lease_until <= _now OR jobs.owner = ANY (_dead)
                            OR jobs.timeout_at <= _late AND jobs.reason IS NULL
                        )
                        OR jobs.stage < 4 AND jobs.expires_at <= _now
                    )
            ) AS either
            WHERE either.seq <> ALL (_taken)
            ORDER BY either.since, either.seq LIMIT _limit - cardinality(_taken)
        ) AS found;
        EXIT WHEN _found IS NULL;
        _locked := ARRAY(
            SELECT jobs.seq FROM jobs WHERE jobs.seq = ANY (_found) AND (
                    jobs.lease_until IS NOT NULL AND jobs.token <> ALL (_keep) AND (
                        jobs.lease_until <= _now OR jobs.owner = ANY (_dead)
                        OR jobs.timeout_at <= _late AND jobs.reason IS NULL
                    )
                    OR jobs.stage < 4 AND jobs.expires_at <= _now
                )
            ORDER BY jobs.seq FOR UPDATE
        );
        _taken := _taken || ARRAY(
            SELECT a.seq FROM unnest(_found) WITH ORDINALITY AS a(seq, o) WHERE a.seq = ANY (_locked) ORDER BY a.o
        );
    END LOOP;
    IF _taken = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO nonces (nonce, until) VALUES (_nonce, _now + greatest(_lease_for, 3600000000));
    WITH taken AS (
        UPDATE jobs SET status = 'running', stage = 4, steps = jobs.steps + 1, owner = _owner,
            claimed_by = coalesce(jobs.claimed_by, jobs.owner, _owner), token = _nonce || '.' || (a.o - 1),
            lease_until = _now + _lease_for,
            reason = CASE
                WHEN jobs.stage < 4 OR jobs.reason = 'waited' THEN 'waited'
                WHEN jobs.timeout_at <= _late THEN 'overdue'
                ELSE 'expired' END
        FROM unnest(_taken) WITH ORDINALITY AS a(seq, o)
        WHERE jobs.seq = a.seq RETURNING jobs.seq, jobs.steps, jobs.runs, jobs.reason
    ) INSERT INTO history (seq, at, n, run, event, note)
    SELECT taken.seq, _now, taken.steps, taken.runs, 'reclaimed', taken.reason FROM taken;
    RETURN QUERY SELECT shown.* FROM unnest(_taken) WITH ORDINALITY AS a(seq, o) JOIN shown ON shown.seq = a.seq
    ORDER BY a.o;
END
$$
