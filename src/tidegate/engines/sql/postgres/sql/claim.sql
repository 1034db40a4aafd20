-- claim: see `ports.JobQueue.claim`; `engines/memory/claiming.py` spells out the order.
--
-- _queues, _quotas: the turns. _share: NULL where there is none. _held_names, _held_counts: what the worker holds.
-- Returns a row for each new lease, in the order to run them, with what else is not known of a job that has just been
-- claimed; then one row with the news, and nothing else. `repeated`: the nonce is known, and the leases are there.
--
-- A gate with a limit or a pace is locked before its leases are counted, all gates in the order of their names; one
-- that somebody keeps locked counts as closed, and holds up no other lane. Jobs that another claim is taking are
-- passed over. So claims wait for each other at such gates only, and for nobody else.
CREATE OR REPLACE FUNCTION claim(
    _at bigint, _nonce text, _owner text, _queues text[], _quotas integer[], _types text[], _limit integer,
    _lease_for bigint, _share integer, _held_names text[], _held_counts bigint[]
) RETURNS TABLE (
    seq bigint, id text, line_id integer, first_line_id integer, user_id text, priority smallint, tags text,
    run_at bigint, due_at bigint, created_at bigint, expires_at bigint, first_expires_at bigint, runs integer,
    upstream_faults integer, crashes integer, interruptions integer, base integer, timeout bigint, terms_id integer,
    idempotency_key text, fingerprint text, request_id text, traceparent text,
    error_code text, error_message text, error_more text, payload bytea, eras text,
    at bigint, more boolean, wake_at bigint, cancelling text[], overdue bigint, version bigint, repeated boolean
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
    _plenty CONSTANT bigint := 1::bigint << 60;
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    _known boolean;
    _wanted integer;
    _more boolean := false;
    _opens_at bigint;
    _ends_at bigint;
    _expiring boolean;
    _cancelling boolean;
    -- the lines that may give, in turn: one element a line
    _lines integer[] := '{}';
    _turn_of bigint[] := '{}';
    _queue_of integer[] := '{}';
    _holder_of integer[] := '{}';
    _gates_from integer[] := '{}';
    _gates_to integer[] := '{}';
    _left boolean[] := '{}';
    _last_rank bigint[] := '{}';
    _last_seq bigint[] := '{}';
    _gates_of integer[] := '{}';
    -- their gates: one element a gate
    _names text[] := '{}';
    _before bigint[] := '{}';
    _most bigint[] := '{}';
    _period bigint[] := '{}';
    _burst bigint[] := '{}';
    _era bigint[] := '{}';
    _paced bigint[] := '{}';
    _running bigint[] := '{}';
    _room_of bigint[] := '{}';
    _spare bigint[] := '{}';
    _to_lock text[];
    _locked text[];
    -- what is taken, in order
    _taken bigint[] := '{}';
    _taken_eras text[] := '{}';
    _drawn bigint[];
    _ranks bigint[];
    _list integer[];
    _held_spare bigint[];
    _line record;
    _gate record;
    _name text;
    _room bigint;
    _even integer;
    _need integer;
    _turns bigint := _plenty;
    _g integer;
    _h integer;
    _p integer;
    _capped boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(_nonce, 0));  -- a repeat waits for the first to come to an end
    _known := EXISTS (SELECT 1 FROM nonces WHERE nonces.nonce = _nonce);
    _wanted := CASE WHEN _known THEN 0 ELSE greatest(_limit, 0) END;
    _held_spare := ARRAY(SELECT _share - a.n FROM unnest(_held_counts) WITH ORDINALITY AS a(n, o) ORDER BY a.o);
    IF NOT _known AND (
        EXISTS (SELECT 1 FROM jobs WHERE jobs.stage = 0 AND jobs.run_at <= _now) OR EXISTS (
            SELECT 1 FROM jobs
            WHERE jobs.stage IN (0, 1) AND jobs.stage < 4 AND jobs.expires_at IS NOT NULL AND jobs.expires_at <= _now
        )
    ) THEN
        _more := promote(_now);
    END IF;

    -- look at the lines in turn, as far as they are needed: as many as could each give one at the same time
    FOR _q IN 1 .. cardinality(_queues) LOOP
        _need := greatest(_wanted, 1);
        FOR _line IN
            SELECT ordered.id, ordered.upstream, ordered.turn,
                CASE WHEN EXISTS (SELECT 1 FROM gates WHERE gates.name = ANY (ordered.gates)) THEN ordered.gates
                    ELSE '{}' END AS gates
            FROM (
                SELECT lines.id, lines.upstream, lines.turn, lines.gates FROM lines
                WHERE lines.queue = _queues[_q] AND lines.type = ANY (_types) ORDER BY lines.turn, lines.made OFFSET 0
            ) AS ordered
            WHERE EXISTS (
                SELECT 1 FROM jobs
                WHERE jobs.line_id = ordered.id AND jobs.stage = 1
                    AND (jobs.expires_at IS NULL OR jobs.expires_at > _now)
            )
        LOOP
            IF _need <= 0 THEN
                _more := true;
                EXIT;
            END IF;
            _p := cardinality(_lines) + 1;
            _gates_from[_p] := cardinality(_gates_of) + 1;
            FOREACH _name IN ARRAY _line.gates LOOP
                _g := array_position(_names, _name);
                IF _g IS NULL THEN
                    SELECT * INTO _gate FROM gates WHERE gates.name = _name;
                    IF FOUND THEN
                        _g := cardinality(_names) + 1;
                        _names[_g] := _name;
                        _before[_g] := _gate.not_before;
                        _most[_g] := _gate.most;
                        _period[_g] := _gate.pace_period;
                        _burst[_g] := _gate.pace_burst;
                        _era[_g] := _gate.era;
                        _paced[_g] := _gate.paced_until;
                        IF _paced[_g] > _now + _burst[_g] * _period[_g] THEN
                            _paced[_g] := _now + _burst[_g] * _period[_g];
                            PERFORM unpace(_name, _at);
                        END IF;
                        _running[_g] := CASE WHEN _gate.most IS NOT NULL THEN (
                            SELECT count(*) FROM lease_gates
                            WHERE lease_gates.gate = _name AND lease_gates.era = _gate.era
                        ) END;
                        _room_of[_g] := admits(
                            _now, _before[_g], _most[_g], _running[_g], _period[_g], _burst[_g], _paced[_g]
                        );
                        _spare[_g] := _room_of[_g];
                    END IF;
                END IF;
                IF _g IS NOT NULL THEN
                    _gates_of := _gates_of || _g;
                END IF;
            END LOOP;
            _gates_to[_p] := cardinality(_gates_of);
            _lines[_p] := _line.id;
            _turn_of[_p] := _line.turn;
            _queue_of[_p] := _q;
            _left[_p] := true;
            _last_rank[_p] := 0;
            _last_seq[_p] := 0;
            _holder_of[_p] := NULL;
            _room := _plenty;
            IF _share IS NOT NULL AND _line.upstream IS NOT NULL THEN
                _h := array_position(_held_names, _line.upstream);
                IF _h IS NULL THEN
                    _held_names := _held_names || _line.upstream;
                    _held_counts := _held_counts || 0::bigint;
                    _held_spare := _held_spare || _share::bigint;
                    _h := cardinality(_held_names);
                END IF;
                _holder_of[_p] := _h;
                _room := _held_spare[_h];
            END IF;
            FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
                _room := least(_room, _spare[_gates_of[_i]]);
            END LOOP;
            -- counted as if it gave one: those behind it that share its gates have to do with the rest
            IF _room > 0 THEN
                _need := _need - 1;
                IF _holder_of[_p] IS NOT NULL THEN
                    _held_spare[_h] := _held_spare[_h] - 1;
                END IF;
                FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
                    _spare[_gates_of[_i]] := _spare[_gates_of[_i]] - 1;
                END LOOP;
            END IF;
        END LOOP;
    END LOOP;

    -- lock the gates that count and may admit, then count again: nobody else starts a job behind them before we end
    _to_lock := ARRAY(
        SELECT a.name FROM unnest(_names, _most, _period, _room_of) AS a(name, most, period, room)
        WHERE _wanted > 0 AND a.room > 0 AND (a.most IS NOT NULL OR a.period IS NOT NULL)
    );
    IF _to_lock <> '{}' THEN
        BEGIN
            PERFORM set_config('lock_timeout', '1s', true);
            PERFORM 1 FROM gates WHERE gates.name = ANY (_to_lock) ORDER BY gates.name FOR UPDATE;
            PERFORM set_config('lock_timeout', '5s', true);
            _locked := _to_lock;
        EXCEPTION WHEN lock_not_available THEN
            _locked := ARRAY(SELECT gates.name FROM gates WHERE gates.name = ANY (_to_lock) FOR UPDATE SKIP LOCKED);
        END;
        FOREACH _name IN ARRAY _to_lock LOOP
            _g := array_position(_names, _name);
            SELECT * INTO _gate FROM gates WHERE gates.name = _name;
            _before[_g] := _gate.not_before;
            _most[_g] := _gate.most;
            _period[_g] := _gate.pace_period;
            _burst[_g] := _gate.pace_burst;
            _era[_g] := _gate.era;
            _paced[_g] := _gate.paced_until;
            _running[_g] := CASE WHEN _gate.most IS NOT NULL THEN (
                SELECT count(*) FROM lease_gates WHERE lease_gates.gate = _name AND lease_gates.era = _gate.era
            ) END;
            _room_of[_g] := CASE WHEN _name = ANY (_locked) THEN admits(
                _now, _before[_g], _most[_g], _running[_g], _period[_g], _burst[_g], _paced[_g]
            ) ELSE 0 END;
        END LOOP;
    END IF;

    -- take: every queue up to its quota, then what is left within the share, then beyond it
    FOR _pass IN 1 .. 3 LOOP
        EXIT WHEN NOT (true = ANY (_left));
        _capped := _share IS NOT NULL AND _pass < 3;
        FOR _q IN 1 .. cardinality(_queues) LOOP
            _need := least(CASE WHEN _pass = 1 THEN _quotas[_q] ELSE _wanted END, _wanted - cardinality(_taken));
            WHILE _need > 0 LOOP
                _list := '{}';
                FOR _p IN
                    SELECT a.p FROM unnest(_turn_of, _queue_of, _left) WITH ORDINALITY AS a(turn, queue, unread, p)
                    WHERE a.queue = _q AND a.unread ORDER BY a.turn, a.p
                LOOP
                    _room := _plenty;
                    IF _capped AND _holder_of[_p] IS NOT NULL THEN
                        _room := _share - _held_counts[_holder_of[_p]];
                    END IF;
                    FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
                        _room := least(_room, _room_of[_gates_of[_i]]);
                    END LOOP;
                    IF _room > 0 THEN
                        _list := _list || _p;
                    END IF;
                END LOOP;
                EXIT WHEN _list = '{}';
                FOR _place IN 1 .. cardinality(_list) LOOP
                    EXIT WHEN _need <= 0;
                    _p := _list[_place];
                    _room := (_need + cardinality(_list) - _place) / (cardinality(_list) - _place + 1);
                    IF _capped AND _holder_of[_p] IS NOT NULL THEN
                        _room := least(_room, _share - _held_counts[_holder_of[_p]]);
                    END IF;
                    FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
                        _room := least(_room, _room_of[_gates_of[_i]]);
                    END LOOP;
                    CONTINUE WHEN _room <= 0;
                    SELECT coalesce(array_agg(head.seq), '{}'), array_agg(head.rank) INTO _drawn, _ranks
                    FROM (
                        SELECT jobs.seq, jobs.rank FROM jobs
                        WHERE jobs.line_id = _lines[_p] AND jobs.stage = 1
                            AND (jobs.rank, jobs.seq) > (_last_rank[_p], _last_seq[_p])
                            AND (jobs.expires_at IS NULL OR jobs.expires_at > _now)
                        ORDER BY jobs.rank, jobs.seq LIMIT _room FOR UPDATE SKIP LOCKED
                    ) AS head;
                    _even := cardinality(_drawn);
                    IF _even > 0 THEN
                        _need := _need - _even;
                        _last_rank[_p] := _ranks[_even];
                        _last_seq[_p] := _drawn[_even];
                        _turns := _turns + 1;
                        _turn_of[_p] := _turns;
                        _taken := _taken || _drawn;
                        IF _holder_of[_p] IS NOT NULL THEN
                            _held_counts[_holder_of[_p]] := _held_counts[_holder_of[_p]] + _even;
                        END IF;
                        _name := NULL;
                        IF _gates_from[_p] <= _gates_to[_p] THEN
                            INSERT INTO lease_gates (seq, gate, era)
                            SELECT a.seq, _names[b.g], _era[b.g] FROM unnest(_drawn) AS a(seq)
                            CROSS JOIN unnest(_gates_of[_gates_from[_p]:_gates_to[_p]]) AS b(g)
                            WHERE _most[b.g] IS NOT NULL;
                            SELECT json_object_agg(_names[b.g], _era[b.g])::text INTO _name
                            FROM unnest(_gates_of[_gates_from[_p]:_gates_to[_p]]) AS b(g);
                        END IF;
                        _taken_eras := _taken_eras || array_fill(_name, ARRAY[_even]);
                        FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
                            _g := _gates_of[_i];
                            _running[_g] := _running[_g] + _even;
                            _room_of[_g] := _room_of[_g] - _even;
                            _paced[_g] := CASE WHEN _period[_g] IS NULL THEN _paced[_g]
                                ELSE greatest(_paced[_g], _now) + _even * _period[_g] END;
                        END LOOP;
                    END IF;
                    _left[_p] := _even = _room AND EXISTS (
                        SELECT 1 FROM jobs
                        WHERE jobs.line_id = _lines[_p] AND jobs.stage = 1
                            AND (jobs.rank, jobs.seq) > (_last_rank[_p], _last_seq[_p])
                            AND (jobs.expires_at IS NULL OR jobs.expires_at > _now)
                    );
                END LOOP;
            END LOOP;
        END LOOP;
    END LOOP;

    IF _taken <> '{}' THEN
        INSERT INTO nonces (nonce, until) VALUES (_nonce, _now + greatest(_lease_for, 3600000000));
        RETURN QUERY WITH run AS (
            UPDATE jobs SET status = 'running', stage = 4, runs = jobs.runs + 1, steps = jobs.steps + 1,
                started_at = _now, timeout_at = _now + jobs.timeout, progress_fraction = NULL, progress_message = NULL,
                owner = _owner, lease_until = _now + _lease_for, token = _nonce || '.' || (a.o - 1), eras = a.eras
            FROM unnest(_taken, _taken_eras) WITH ORDINALITY AS a(seq, eras, o)
            WHERE jobs.seq = a.seq
            RETURNING a.o, jobs.seq, jobs.line_id, jobs.user_id, jobs.priority, jobs.run_at, jobs.due_at,
                jobs.expires_at, jobs.runs, jobs.upstream_faults, jobs.crashes, jobs.interruptions, jobs.base,
                jobs.timeout, jobs.error_code, jobs.error_message, jobs.error_more, jobs.eras, jobs.steps
        ), logged AS (
            INSERT INTO history (seq, at, n, run, event) SELECT run.seq, _now, run.steps, run.runs, 'claimed' FROM run
        )
        SELECT j.seq, specs.id::text, j.line_id, specs.line_id, j.user_id, j.priority, specs.tags, j.run_at, j.due_at,
            specs.created_at, j.expires_at, specs.expires_at, j.runs, j.upstream_faults, j.crashes, j.interruptions,
            j.base, j.timeout, specs.terms_id, specs.idempotency_key, specs.fingerprint, specs.request_id,
            specs.traceparent, j.error_code, j.error_message, j.error_more, specs.payload, j.eras,
            NULL::bigint, NULL::boolean, NULL::bigint, NULL::text[], NULL::bigint, NULL::bigint, NULL::boolean
        FROM run AS j JOIN specs ON specs.seq = j.seq ORDER BY j.o;
        UPDATE gates SET paced_until = a.paced FROM unnest(_names, _paced, _period) AS a(name, paced, period)
        WHERE gates.name = a.name AND a.name = ANY (_locked) AND a.period IS NOT NULL
            AND gates.paced_until IS DISTINCT FROM a.paced;
        FOR _p IN
            SELECT a.p FROM unnest(_turn_of) WITH ORDINALITY AS a(turn, p) WHERE a.turn > _plenty ORDER BY a.turn
        LOOP
            UPDATE lines SET turn = nextval('turns'), reached = greatest(lines.reached, _last_rank[_p])
            WHERE lines.id = (SELECT l.id FROM lines AS l WHERE l.id = _lines[_p] FOR UPDATE SKIP LOCKED);
        END LOOP;
    END IF;
    -- the news
    FOR _p IN 1 .. cardinality(_lines) LOOP
        CONTINUE WHEN NOT _left[_p];
        _room := _plenty;
        _even := 1;
        _turns := _now;
        FOR _i IN _gates_from[_p] .. _gates_to[_p] LOOP
            _g := _gates_of[_i];
            _room := least(_room, _room_of[_g]);
            _even := CASE WHEN _running[_g] >= _most[_g] THEN 0 ELSE _even END;
            _turns := greatest(_turns, _before[_g], _paced[_g] - (_burst[_g] - 1) * _period[_g]);
        END LOOP;
        _more := _more OR _room > 0;
        IF _even = 1 THEN
            _opens_at := least(_opens_at, _turns);
        END IF;
    END LOOP;
    -- a look costs an index entry; what is rarely there is asked for where there is any
    SELECT versions.last, (SELECT min(jobs.lease_until) FROM jobs WHERE jobs.lease_until IS NOT NULL),
        (SELECT min(jobs.run_at) FROM jobs WHERE jobs.stage = 0),
        EXISTS (SELECT 1 FROM jobs WHERE jobs.stage < 4 AND jobs.expires_at IS NOT NULL),
        EXISTS (SELECT 1 FROM jobs WHERE jobs.lease_until IS NOT NULL AND jobs.cancel_requested_at IS NOT NULL)
    INTO version, _ends_at, wake_at, _expiring, _cancelling FROM versions;
    at := _now;
    more := _more;
    repeated := _known;
    wake_at := least(_opens_at, _ends_at, wake_at);
    cancelling := '{}';
    overdue := 0;
    IF _ends_at <= _now THEN
        overdue := (
            SELECT count(*) FROM (
                SELECT 1 FROM jobs WHERE jobs.lease_until IS NOT NULL AND jobs.lease_until <= _now LIMIT 1000
            ) AS a
        );
    END IF;
    IF _expiring THEN
        wake_at := least(
            wake_at,
            (SELECT min(jobs.expires_at) FROM jobs WHERE jobs.stage = 0 AND jobs.expires_at IS NOT NULL),
            (SELECT min(jobs.expires_at) FROM jobs WHERE jobs.stage = 1 AND jobs.expires_at IS NOT NULL),
            (SELECT min(jobs.expires_at) FROM jobs WHERE jobs.stage = 2 AND jobs.expires_at IS NOT NULL),
            (SELECT min(jobs.expires_at) FROM jobs WHERE jobs.stage = 3 AND jobs.expires_at IS NOT NULL)
        );
        overdue := least(1000, overdue + (
            SELECT count(*) FROM (
                SELECT 1 FROM jobs
                WHERE jobs.stage IN (0, 1, 2, 3) AND jobs.stage < 4 AND jobs.expires_at IS NOT NULL
                    AND jobs.expires_at <= _now
                LIMIT 1000
            ) AS a
        ));
    END IF;
    IF _cancelling THEN
        cancelling := ARRAY(
            SELECT specs.id::text FROM jobs JOIN specs ON specs.seq = jobs.seq
            WHERE jobs.lease_until IS NOT NULL AND jobs.cancel_requested_at IS NOT NULL AND jobs.owner = _owner
            ORDER BY jobs.seq
        );
    END IF;
    IF _more OR wake_at < _now THEN
        wake_at := _now;
    END IF;
    RETURN NEXT;
END
$$
