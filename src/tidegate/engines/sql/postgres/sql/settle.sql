-- settle: see `ports.JobQueue.settle`; `core.steps` says what each settlement does to a job.
--
-- One array a column of the endings (one of nothing but NULL may be empty, and _statuses and _events may say once what
-- all endings share), and then one a column of their follow-up
-- jobs, as `accept` takes them; _of says which ending each follows.
-- _cuts: the last place of each part of the batch that names no job twice.
-- _statuses: what the job is to be; 'queued' is a retry or a deferral, due `_delays` from now. _refunds: the cause
-- that is counted. _queues, _upstreams, _parents: the lane to move to, NULL where it stays.
-- Returns what became of each ending, and the queue in whose line the job stands again.
CREATE OR REPLACE FUNCTION settle(
    _at bigint, _cuts integer[], _ids uuid[], _tokens text[], _statuses text[], _events text[], _notes text[],
    _delays bigint[], _refunds text[], _error_codes text[], _error_messages text[], _error_mores text[],
    _results bytea[], _result_paths text[], _degraded smallint[], _served_bys text[], _queues text[],
    _upstreams text[], _parents text[],
    _of integer[], _then_ids uuid[], _then_line_ids integer[], _then_terms_ids integer[], _then_user_ids text[],
    _then_priorities smallint[], _then_run_ats bigint[], _then_delays bigint[], _then_tags text[],
    _then_expires_ats bigint[], _then_timeouts bigint[], _then_keys text[], _then_fingerprints text[],
    _then_request_ids text[], _then_traceparents text[], _then_payloads bytea[],
    _then_queues text[], _then_upstreams text[], _then_parents text[], _then_types text[]
) RETURNS TABLE (fate text, queue text)
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
    _n integer := cardinality(_ids);
    _fates text[] := array_fill(NULL::text, ARRAY[_n]);
    _stands text[] := array_fill(NULL::text, ARRAY[_n]);
    _a integer := 1;
    _b integer;
    _count integer;
    _ended integer[];
    _seqs bigint[];
    _back_seqs bigint[];
    _back integer[];
    _back_lines integer[];
    _back_runs bigint[];
    _back_ranks bigint[];
    _kept bigint[];
    _users text[];
    _priorities smallint[];
    _then integer[];
    _then_ranks bigint[];
    _arriving integer[];
    _ranks bigint[];
    _line integer;
    _one record;
BEGIN
    IF cardinality(_statuses) = 1 THEN
        _statuses := array_fill(_statuses[1], ARRAY[_n]);
    END IF;
    IF cardinality(_events) = 1 THEN
        _events := array_fill(_events[1], ARRAY[_n]);
    END IF;
    IF _of <> '{}' THEN
        PERFORM recall(_then_line_ids, _then_terms_ids);
    END IF;
    -- what follows meets the jobs in another order than everybody else's, so they are all locked first
    IF 'queued' = ANY (_statuses) AND _n > 1 THEN
        PERFORM 1 FROM unnest(_ids) AS a(id) JOIN specs ON specs.id = a.id JOIN jobs ON jobs.seq = specs.seq
        ORDER BY jobs.seq FOR UPDATE OF jobs;
    END IF;
    FOREACH _b IN ARRAY _cuts LOOP
        _back_seqs := NULL;
        _back := NULL;
        -- runs that end their job
        WITH asked AS (
            SELECT specs.seq, a.o, a.token, a.status, a.event, a.note, a.refund, a.code, a.message, a.more,
                a.result, a.path, a.degraded, a.served_by,
                CASE a.status WHEN 'succeeded' THEN terms.kept_succeeded WHEN 'failed' THEN terms.kept_failed
                    ELSE terms.kept_cancelled END AS kept
            FROM unnest(
                _ids[_a:_b], _tokens[_a:_b], _statuses[_a:_b], _events[_a:_b], _notes[_a:_b], _refunds[_a:_b],
                _error_codes[_a:_b], _error_messages[_a:_b], _error_mores[_a:_b], _results[_a:_b],
                _result_paths[_a:_b], _degraded[_a:_b], _served_bys[_a:_b]
            ) WITH ORDINALITY AS a(
                id, token, status, event, note, refund, code, message, more, result, path, degraded, served_by, o
            )
            JOIN specs ON specs.id = a.id JOIN terms ON terms.id = specs.terms_id
            WHERE a.status <> 'queued' ORDER BY specs.seq OFFSET 0
        ), ended AS (
            UPDATE jobs SET status = asked.status, rank = NULL, finished_at = _now,
                prune_at = least(_now + greatest(asked.kept, 600000000), 253402300799999999), steps = jobs.steps + 1,
                settled_by = jobs.token, token = NULL, owner = NULL, lease_until = NULL, claimed_by = NULL,
                reason = NULL, eras = NULL, result = asked.result,
                upstream_faults = jobs.upstream_faults
                    + CASE WHEN asked.refund IS NOT DISTINCT FROM 'upstream_fault' THEN 1 ELSE 0 END,
                crashes = jobs.crashes + CASE WHEN asked.refund IS NOT DISTINCT FROM 'crash' THEN 1 ELSE 0 END,
                interruptions = jobs.interruptions
                    + CASE WHEN asked.refund IS NOT DISTINCT FROM 'interruption' THEN 1 ELSE 0 END,
                error_code = CASE asked.status WHEN 'cancelled' THEN jobs.error_code ELSE asked.code END,
                error_message = CASE asked.status WHEN 'cancelled' THEN jobs.error_message ELSE asked.message END,
                error_more = CASE asked.status WHEN 'cancelled' THEN jobs.error_more ELSE asked.more END,
                result_path = CASE asked.status WHEN 'succeeded' THEN asked.path ELSE jobs.result_path END,
                degraded = CASE asked.status WHEN 'succeeded' THEN coalesce(asked.degraded, 0::smallint) ELSE jobs.degraded END,
                served_by = CASE asked.status WHEN 'succeeded' THEN asked.served_by ELSE jobs.served_by END
            FROM asked
            WHERE jobs.seq = asked.seq AND jobs.token = asked.token
                AND (jobs.cancel_requested_at IS NULL OR asked.status = 'cancelled')
            RETURNING jobs.seq, jobs.steps, jobs.runs, asked.o, asked.event, asked.note
        ), logged AS (
            INSERT INTO history (seq, at, n, run, event, note)
            SELECT ended.seq, _now, ended.steps, ended.runs, ended.event, coalesce(ended.note, '') FROM ended
        ) SELECT array_agg(ended.o), array_agg(ended.seq) INTO _ended, _seqs FROM ended;
        -- runs after which it waits again
        IF 'queued' = ANY (_statuses[_a:_b]) THEN
            SELECT array_agg(back.seq), array_agg(back.o), array_agg(back.line_id), array_agg(back.user_id),
                array_agg(back.priority), array_agg(back.rank), array_agg(least(_now + back.delay, 253402300799999999))
            INTO _back_seqs, _back, _back_lines, _users, _priorities, _kept, _back_runs
            FROM (
                SELECT jobs.seq, a.o, a.delay, jobs.line_id, jobs.user_id, jobs.priority, jobs.rank
                FROM unnest(_ids[_a:_b], _tokens[_a:_b], _statuses[_a:_b], _delays[_a:_b]) WITH ORDINALITY
                    AS a(id, token, status, delay, o)
                JOIN specs ON specs.id = a.id JOIN jobs ON jobs.seq = specs.seq
                WHERE a.status = 'queued' AND jobs.token = a.token AND jobs.cancel_requested_at IS NULL
                ORDER BY jobs.seq FOR UPDATE OF jobs
            ) AS back;
        END IF;
        IF cardinality(_ended) = _n THEN
            _fates := array_fill('applied'::text, ARRAY[_n]);
        ELSE
            FOREACH _count IN ARRAY coalesce(array_cat(_ended, _back), '{}') LOOP
                _fates[_count + _a - 1] := 'applied';
            END LOOP;
        END IF;
        -- follow-ups of what was applied, each id once, and only those that are new
        _then := NULL;
        IF _of <> '{}' THEN
            SELECT array_agg(new.o ORDER BY new.o) INTO _then FROM (
                SELECT DISTINCT ON (a.id) a.id, a.o FROM unnest(_then_ids, _of) WITH ORDINALITY AS a(id, ending, o)
                WHERE a.ending BETWEEN _a AND _b AND _fates[a.ending] = 'applied' ORDER BY a.id, a.o
            ) AS new WHERE NOT EXISTS (SELECT 1 FROM specs WHERE specs.id = new.id);
        END IF;
        -- lines that are needed from now on, in the order of the endings
        FOR _one IN
            SELECT b.o + _a - 1 AS o, b.i::integer AS back, NULL::integer AS new
            FROM unnest(_back) WITH ORDINALITY AS b(o, i) WHERE _queues[b.o + _a - 1] IS NOT NULL
            UNION ALL SELECT _of[t.o], NULL, t.o FROM unnest(_then) AS t(o) WHERE _then_line_ids[t.o] IS NULL
            ORDER BY 1, 3 NULLS FIRST
        LOOP
            IF _one.new IS NOT NULL THEN
                _then_line_ids[_one.new] := line_of(
                    _then_queues[_one.new], _then_upstreams[_one.new], _then_parents[_one.new], _then_types[_one.new]
                );
                CONTINUE;
            END IF;
            SELECT line_of(_queues[_one.o], _upstreams[_one.o], _parents[_one.o], lines.type) INTO _line
            FROM lines WHERE lines.id = _back_lines[_one.back];
            IF _line <> _back_lines[_one.back] THEN
                _back_lines[_one.back] := _line;
                _kept[_one.back] := NULL;
            END IF;
        END LOOP;
        -- places in line, in the order of the endings
        IF _back IS NOT NULL OR _then IS NOT NULL THEN
            SELECT array_agg(a.i ORDER BY a.o, a.i), place(
                array_agg(a.line_id ORDER BY a.o, a.i), array_agg(a.user_id ORDER BY a.o, a.i),
                array_agg(a.priority ORDER BY a.o, a.i), array_agg(a.kept ORDER BY a.o, a.i)
            ) INTO _arriving, _ranks
            FROM (
                SELECT b.o + _a - 1 AS o, -b.i AS i, b.line_id, b.user_id, b.priority, b.kept
                FROM unnest(_back, _back_lines, _users, _priorities, _kept, _back_runs) WITH ORDINALITY
                    AS b(o, line_id, user_id, priority, kept, run_at, i)
                WHERE b.run_at <= _now
                UNION ALL
                SELECT _of[t.o], t.o, _then_line_ids[t.o], _then_user_ids[t.o], _then_priorities[t.o], NULL
                FROM unnest(_then) AS t(o)
                WHERE coalesce(_then_run_ats[t.o], _now + _then_delays[t.o]) <= _now
            ) AS a;
            _back_ranks := array_fill(NULL::bigint, ARRAY[coalesce(cardinality(_back), 0)]);
            _then_ranks := array_fill(NULL::bigint, ARRAY[cardinality(_of)]);
            FOR _i IN 1 .. coalesce(cardinality(_arriving), 0) LOOP
                IF _arriving[_i] < 0 THEN
                    _back_ranks[-_arriving[_i]] := _ranks[_i];
                ELSE
                    _then_ranks[_arriving[_i]] := _ranks[_i];
                END IF;
            END LOOP;
        END IF;
        IF _back IS NOT NULL THEN
            WITH back AS (
                UPDATE jobs SET status = 'queued', stage = CASE WHEN a.run_at <= _now THEN 1 ELSE 0 END,
                    rank = CASE WHEN a.run_at <= _now THEN a.rank ELSE a.kept END, run_at = a.run_at,
                    line_id = a.line_id, timeout_at = NULL, steps = jobs.steps + 1, settled_by = jobs.token,
                    token = NULL, owner = NULL, lease_until = NULL, claimed_by = NULL, reason = NULL, eras = NULL,
                    upstream_faults = jobs.upstream_faults
                        + CASE WHEN _refunds[a.o] IS NOT DISTINCT FROM 'upstream_fault' THEN 1 ELSE 0 END,
                    crashes = jobs.crashes + CASE WHEN _refunds[a.o] IS NOT DISTINCT FROM 'crash' THEN 1 ELSE 0 END,
                    interruptions = jobs.interruptions
                        + CASE WHEN _refunds[a.o] IS NOT DISTINCT FROM 'interruption' THEN 1 ELSE 0 END,
                    error_code = coalesce(_error_codes[a.o], jobs.error_code),
                    error_message = coalesce(_error_messages[a.o], jobs.error_message),
                    error_more = coalesce(_error_mores[a.o], jobs.error_more)
                FROM (
                    SELECT b.seq, b.o + _a - 1 AS o, b.line_id, b.run_at, b.rank, b.kept
                    FROM unnest(_back_seqs, _back, _back_lines, _back_runs, _back_ranks, _kept)
                        AS b(seq, o, line_id, run_at, rank, kept)
                ) AS a
                WHERE jobs.seq = a.seq RETURNING jobs.seq, jobs.steps, jobs.runs, a.o
            ) INSERT INTO history (seq, at, n, run, event, note)
            SELECT back.seq, _now, back.steps, back.runs, _events[back.o], coalesce(_notes[back.o], '') FROM back;
            FOR _one IN
                SELECT a.o + _a - 1 AS o, lines.queue
                FROM unnest(_back, _back_lines, _back_runs) AS a(o, line_id, run_at)
                JOIN lines ON lines.id = a.line_id WHERE a.run_at <= _now
            LOOP
                _stands[_one.o] := _one.queue;
            END LOOP;
        END IF;
        IF (_ended IS NOT NULL OR _back_seqs IS NOT NULL) AND EXISTS (SELECT 1 FROM lease_gates) THEN
            DELETE FROM lease_gates WHERE lease_gates.seq = ANY (array_cat(_seqs, _back_seqs));
        END IF;
        IF _then IS NOT NULL THEN
            PERFORM accept(
                _now, array_agg(_then_ids[a.o]), array_agg(_then_line_ids[a.o]), array_agg(_then_terms_ids[a.o]),
                array_agg(_then_user_ids[a.o]), array_agg(_then_priorities[a.o]), array_agg(_then_run_ats[a.o]),
                array_agg(_then_delays[a.o]), array_agg(_then_tags[a.o]), array_agg(_then_expires_ats[a.o]),
                array_agg(_then_timeouts[a.o]), array_agg(_then_keys[a.o]), array_agg(_then_fingerprints[a.o]),
                array_agg(_then_request_ids[a.o]), array_agg(_then_traceparents[a.o]),
                array_agg(_then_payloads[a.o]), '{}', '{}', '{}', '{}', array_agg(_then_ranks[a.o])
            ) FROM unnest(_then) AS a(o);
        END IF;
        -- the rest
        EXIT WHEN cardinality(_ended) = _n;
        FOR _one IN
            SELECT a.o + _a - 1 AS o, jobs.token = a.token AS held, jobs.settled_by = a.token AS repeated
            FROM unnest(_ids[_a:_b], _tokens[_a:_b], _fates[_a:_b]) WITH ORDINALITY AS a(id, token, fate, o)
            LEFT JOIN specs ON specs.id = a.id LEFT JOIN jobs ON jobs.seq = specs.seq
            WHERE a.fate IS NULL
        LOOP
            _fates[_one.o] := CASE WHEN _one.held THEN 'cancelling' WHEN _one.repeated THEN 'applied' ELSE 'lost' END;
        END LOOP;
        _a := _b + 1;
    END LOOP;
    RETURN QUERY SELECT * FROM unnest(_fates, _stands);
END
$$
