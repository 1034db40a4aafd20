-- submit: see `ports.JobQueue.submit`.
--
-- The columns are those of `accept`. _cuts: the last place of each part of the batch in which no two jobs share an id
-- or a key; twins meet across parts. _channel, _hints: as of `enter`.
-- Returns a row for each job that is not new: its place, its fate, and the id of the job that it stands for.
-- Where an open transaction elsewhere holds an id or a key this fails (55P03); with `_each`, and each job a part of
-- its own, such jobs are 'busy' and the others go on.
CREATE OR REPLACE FUNCTION submit(
    _at bigint, _channel text, _hints text[], _each boolean, _cuts integer[],
    _ids uuid[], _line_ids integer[], _terms_ids integer[],
    _user_ids text[], _priorities smallint[], _run_ats bigint[], _delays bigint[], _tags text[],
    _expires_ats bigint[], _timeouts bigint[], _keys text[], _fingerprints text[], _request_ids text[],
    _traceparents text[], _payloads bytea[], _queues text[], _upstreams text[], _parents text[], _types text[]
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
DECLARE
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    _a integer := 1;
    _b integer;
    _same boolean[];
    _first_ids uuid[];
    _busy integer := 0;
BEGIN
    IF _channel IS NULL THEN
        PERFORM pg_logical_emit_message(true, 'tidegate', '');  -- his commit flushes what he is told of, too
    ELSE
        PERFORM recall(_line_ids, _terms_ids);
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM pg_notify(_channel, a.hint) FROM unnest(_hints) AS a(hint);
    END IF;
    IF _each THEN
        PERFORM set_config('lock_timeout', '20ms', true);
    END IF;
    FOREACH _b IN ARRAY _cuts LOOP
        IF NOT _each THEN
            SELECT * INTO _same, _first_ids FROM accept(
                _now, _ids[_a:_b], _line_ids[_a:_b], _terms_ids[_a:_b], _user_ids[_a:_b], _priorities[_a:_b],
                _run_ats[_a:_b], _delays[_a:_b], _tags[_a:_b], _expires_ats[_a:_b], _timeouts[_a:_b], _keys[_a:_b],
                _fingerprints[_a:_b], _request_ids[_a:_b], _traceparents[_a:_b], _payloads[_a:_b], _queues[_a:_b],
                _upstreams[_a:_b], _parents[_a:_b], _types[_a:_b], NULL
            );
        ELSE
            BEGIN
                SELECT * INTO _same, _first_ids FROM accept(
                    _now, _ids[_a:_b], _line_ids[_a:_b], _terms_ids[_a:_b], _user_ids[_a:_b], _priorities[_a:_b],
                    _run_ats[_a:_b], _delays[_a:_b], _tags[_a:_b], _expires_ats[_a:_b], _timeouts[_a:_b], _keys[_a:_b],
                    _fingerprints[_a:_b], _request_ids[_a:_b], _traceparents[_a:_b], _payloads[_a:_b], _queues[_a:_b],
                    _upstreams[_a:_b], _parents[_a:_b], _types[_a:_b], NULL
                );
            EXCEPTION WHEN lock_not_available THEN
                _same := NULL;
                RETURN QUERY SELECT _b, 'busy'::text, _ids[_b]::text;
                _busy := _busy + 1;
                IF _busy = 10 THEN
                    PERFORM set_config('lock_timeout', '1ms', true);
                END IF;
            END;
        END IF;
        IF _same IS NOT NULL THEN
            RETURN QUERY SELECT a.o::integer + _a - 1, CASE WHEN a.same THEN 'replayed' ELSE 'conflict' END, a.id::text
            FROM unnest(_same, _first_ids) WITH ORDINALITY AS a(same, id, o) WHERE a.id IS NOT NULL;
        END IF;
        _a := _b + 1;
    END LOOP;
END
$$
