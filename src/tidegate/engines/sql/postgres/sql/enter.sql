-- submit, where nothing is in the way: new jobs, due at once, none of which has the id or the key of another, into
-- lines that there are. It fails (23505) and changes nothing where an id or a key is known already: `submit` then
-- tells which; and (55P03) where an open transaction elsewhere holds one.
--
-- Returns nothing, in the shape of what `submit` returns. The columns are those of `accept`; one of nothing but NULL
-- may be empty, and one that may hold no NULL may say once what all jobs share. Of the flows, numbered from 1,
-- _flow_lines, _flow_users and _flow_priorities say what they are; _flows is that of each job, and _nths the job's
-- place among those of its flow, empty where there is but one flow.
-- _channel, _hints: what listeners are told. With it the commit waits for no flush, and NOTIFY's lock on the server is
-- short: the caller flushes before he tells anybody that the jobs are there. NULL in a transaction of his own, which
-- may see no line that is newer than itself: he has looked for them (`recall`), and here they count as new.
CREATE OR REPLACE FUNCTION enter(
    _at bigint, _channel text, _hints text[],
    _ids uuid[], _line_ids integer[], _terms_ids integer[], _user_ids text[], _priorities smallint[],
    _tags text[], _expires_ats bigint[], _timeouts bigint[], _keys text[], _fingerprints text[],
    _request_ids text[], _traceparents text[], _payloads bytea[], _flows integer[], _nths integer[],
    _flow_lines integer[], _flow_users text[], _flow_priorities smallint[]
) RETURNS TABLE (place integer, fate text, job_id text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET lock_timeout = '500ms'
AS $$
#variable_conflict use_column
DECLARE
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    _bases bigint[] := ARRAY(
        SELECT greatest(0, lines.reached, (
            SELECT jobs.rank FROM jobs
            WHERE jobs.line_id = a.line_id AND jobs.user_id = a.user_id AND jobs.priority = a.priority
                AND jobs.stage IN (1, 2)
            ORDER BY jobs.rank DESC LIMIT 1
        ))
        FROM unnest(_flow_lines, _flow_users, _flow_priorities) WITH ORDINALITY AS a(line_id, user_id, priority, o)
        LEFT JOIN lines ON lines.id = a.line_id ORDER BY a.o
    );
BEGIN
    IF _channel IS NOT NULL THEN
        PERFORM recall(_flow_lines, _terms_ids);
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM pg_notify(_channel, a.hint) FROM unnest(_hints) AS a(hint);
    END IF;
    IF _keys <> '{}' THEN
        INSERT INTO idempotency (user_id, key, fingerprint, job_id)
        SELECT coalesce(a.user_id, _user_ids[1]) AS user_id, a.key, coalesce(a.fingerprint, _fingerprints[1]), a.id
        FROM unnest(_user_ids, _keys, _fingerprints, _ids) AS a(user_id, key, fingerprint, id)
        WHERE a.key IS NOT NULL ORDER BY 1, 2;
    END IF;
    WITH a AS MATERIALIZED (
        SELECT nextval('seqs') AS seq, b.id, b.expires_at, b.key, b.payload,
            coalesce(b.line_id, _line_ids[1]) AS line_id, coalesce(b.terms_id, _terms_ids[1]) AS terms_id,
            coalesce(b.user_id, _user_ids[1]) AS user_id, coalesce(b.priority, _priorities[1]) AS priority,
            coalesce(b.tags, _tags[1]) AS tags, coalesce(b.timeout, _timeouts[1]) AS timeout,
            coalesce(b.fingerprint, _fingerprints[1]) AS fingerprint,
            coalesce(b.request_id, _request_ids[1]) AS request_id,
            coalesce(b.traceparent, _traceparents[1]) AS traceparent,
            _bases[coalesce(b.flow, _flows[1])]
                + coalesce(b.nth, b.o) * (512 >> coalesce(b.priority, _priorities[1])) AS rank
        FROM unnest(
            _ids, _line_ids, _terms_ids, _user_ids, _priorities, _tags, _expires_ats, _timeouts, _keys,
            _fingerprints, _request_ids, _traceparents, _payloads, _flows, _nths
        ) WITH ORDINALITY AS b(
            id, line_id, terms_id, user_id, priority, tags, expires_at, timeout, key,
            fingerprint, request_id, traceparent, payload, flow, nth, o
        )
    ), kept AS (
        INSERT INTO specs (
            seq, created_at, id, line_id, terms_id, priority, expires_at, user_id, tags, idempotency_key,
            fingerprint, request_id, traceparent, payload
        )
        SELECT a.seq, _now, a.id, a.line_id, a.terms_id, a.priority, a.expires_at, a.user_id, a.tags, a.key,
            a.fingerprint, a.request_id, a.traceparent, a.payload
        FROM a
    )
    INSERT INTO jobs (seq, run_at, due_at, rank, expires_at, timeout, line_id, priority, stage, user_id)
    SELECT a.seq, _now, _now, a.rank, a.expires_at, a.timeout, a.line_id,
        a.priority, 1, a.user_id
    FROM a;
END
$$
