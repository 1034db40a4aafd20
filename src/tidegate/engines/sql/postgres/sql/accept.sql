-- Accept new jobs, none of which has the id or the key of another: insert them and tell what became of each.
--
-- One array a column, each as long as `_ids`. A job is due at `_run_ats`, or `_delays` from now where that is NULL.
-- _queues, _upstreams, _parents, _types: the lines where `_line_ids` has NULL, and nothing where it has none; such a
-- line is made here, for the first job that is accepted into it. _ranks: the places in line of those that are due, or NULL where they are to be found here.
-- Returns for each job whether it is new (NULL), and otherwise whether the one known before is the same
-- (true: replayed, false: conflict) and that one's id. Waits where another transaction holds an id or a key.
CREATE OR REPLACE FUNCTION accept(
    _now bigint, _ids uuid[], _line_ids integer[], _terms_ids integer[], _user_ids text[], _priorities smallint[],
    _run_ats bigint[], _delays bigint[], _tags text[], _expires_ats bigint[], _timeouts bigint[], _keys text[],
    _fingerprints text[], _request_ids text[], _traceparents text[], _payloads bytea[],
    _queues text[], _upstreams text[], _parents text[], _types text[], _ranks bigint[],
    OUT same boolean[], OUT first_ids uuid[]
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    _n integer := cardinality(_ids);
    _seqs bigint[] := ARRAY(SELECT nextval('seqs') FROM generate_series(1, _n));
    _held uuid[];
    _kept uuid[];
    _made bigint[];
    _next integer := 1;
BEGIN
    IF array_position(_line_ids, NULL) IS NOT NULL THEN
        FOR _place IN 1 .. _n LOOP
            IF _line_ids[_place] IS NULL AND NOT EXISTS (SELECT 1 FROM specs WHERE specs.id = _ids[_place])
                AND NOT EXISTS (
                    SELECT 1 FROM idempotency
                    WHERE idempotency.user_id = _user_ids[_place] AND idempotency.key = _keys[_place]
                )
            THEN
                _line_ids[_place] := line_of(_queues[_place], _upstreams[_place], _parents[_place], _types[_place]);
            END IF;
        END LOOP;
    END IF;
    IF array_remove(_keys, NULL) <> '{}' THEN
        WITH made AS (
            INSERT INTO idempotency (user_id, key, fingerprint, job_id)
            SELECT a.user_id, a.key, a.fingerprint, a.id
            FROM unnest(_user_ids, _keys, _fingerprints, _ids) AS a(user_id, key, fingerprint, id)
            WHERE a.key IS NOT NULL ORDER BY a.user_id, a.key
            ON CONFLICT DO NOTHING RETURNING job_id
        ) SELECT array_agg(made.job_id) INTO _kept FROM made;
        _held := ARRAY(
            SELECT idempotency.job_id FROM unnest(_user_ids, _keys) WITH ORDINALITY AS a(user_id, key, o)
            LEFT JOIN idempotency ON idempotency.user_id = a.user_id AND idempotency.key = a.key
            ORDER BY a.o
        );
    END IF;
    WITH made AS (
        INSERT INTO specs (
            seq, created_at, id, line_id, terms_id, priority, expires_at, user_id, tags, idempotency_key,
            fingerprint, request_id, traceparent, payload
        )
        SELECT a.seq, _now, a.id, a.line_id, a.terms_id, a.priority, a.expires_at, a.user_id, a.tags, a.key,
            a.fingerprint, a.request_id, a.traceparent, a.payload
        FROM unnest(
            _seqs, _ids, _line_ids, _terms_ids, _user_ids, _priorities, _tags, _expires_ats, _keys,
            _fingerprints, _request_ids, _traceparents, _payloads, _held
        ) AS a(
            seq, id, line_id, terms_id, user_id, priority, tags, expires_at, key,
            fingerprint, request_id, traceparent, payload, held
        )
        WHERE a.line_id IS NOT NULL AND (a.key IS NULL OR a.held IS NULL OR a.held = a.id)
        ORDER BY a.id
        ON CONFLICT (id) DO NOTHING RETURNING seq
    ) SELECT array_agg(made.seq ORDER BY made.seq) INTO _made FROM made;
    IF coalesce(cardinality(_made), 0) < _n THEN
        FOR _place IN 1 .. _n LOOP
            IF _seqs[_place] = _made[_next] THEN
                _next := _next + 1;
            ELSE
                _seqs[_place] := NULL;
            END IF;
        END LOOP;
        DELETE FROM idempotency USING unnest(_seqs, _user_ids, _keys, _ids) AS a(seq, user_id, key, id)
        WHERE a.seq IS NULL AND idempotency.user_id = a.user_id AND idempotency.key = a.key
            AND idempotency.job_id = a.id AND a.id = ANY (_kept);
        SELECT array_agg(known.fingerprint = a.fingerprint ORDER BY a.o), array_agg(known.id ORDER BY a.o)
        INTO same, first_ids
        FROM unnest(_seqs, _ids, _user_ids, _keys, _fingerprints) WITH ORDINALITY
            AS a(seq, id, user_id, key, fingerprint, o)
        LEFT JOIN LATERAL (
            SELECT * FROM (
                SELECT 1 AS place, specs.id, specs.fingerprint FROM specs WHERE specs.id = a.id
                UNION ALL
                SELECT 2, idempotency.job_id, idempotency.fingerprint FROM idempotency
                WHERE idempotency.user_id = a.user_id AND idempotency.key = a.key
            ) AS either ORDER BY either.place LIMIT 1
        ) AS known ON a.seq IS NULL;
        IF EXISTS (SELECT 1 FROM unnest(_seqs, first_ids) AS a(seq, id) WHERE a.seq IS NULL AND a.id IS NULL) THEN
            RAISE EXCEPTION 'the job that was in the way has been pruned' USING ERRCODE = '40001';
        END IF;
    END IF;
    IF _made IS NOT NULL THEN
        INSERT INTO jobs (seq, run_at, due_at, rank, expires_at, timeout, line_id, priority, stage, user_id)
        SELECT b.seq, b.run_at, b.run_at,
            CASE WHEN b.due THEN coalesce(b.rank, max(
                CASE WHEN b.k = 1 AND b.due THEN greatest(
                    0,
                    (SELECT lines.reached FROM lines WHERE lines.id = b.line_id),
                    (
                        SELECT jobs.rank FROM jobs
                        WHERE jobs.line_id = b.line_id AND jobs.user_id = b.user_id AND jobs.priority = b.priority
                            AND jobs.stage IN (1, 2)
                        ORDER BY jobs.rank DESC LIMIT 1
                    )
                ) END
            ) OVER (PARTITION BY b.due, b.line_id, b.user_id, b.priority) + b.k * (512 >> b.priority)) END,
            b.expires_at, b.timeout, b.line_id, b.priority, CASE WHEN b.due THEN 1 ELSE 0 END, b.user_id
        FROM (
            SELECT a.*, row_number() OVER (PARTITION BY a.due, a.line_id, a.user_id, a.priority ORDER BY a.seq) AS k
            FROM (
                SELECT c.*, c.run_at <= _now AS due
                FROM (
                    SELECT d.seq, coalesce(d.run_at, least(_now + d.delay, 253402300799999999)) AS run_at, d.rank,
                        d.expires_at, d.timeout, d.line_id, d.priority, d.user_id
                    FROM unnest(
                        _seqs, _run_ats, _delays, _ranks, _expires_ats, _timeouts, _line_ids, _priorities, _user_ids
                    ) AS d(seq, run_at, delay, rank, expires_at, timeout, line_id, priority, user_id)
                    WHERE d.seq IS NOT NULL
                ) AS c
            ) AS a
        ) AS b;
    END IF;
END
$$
