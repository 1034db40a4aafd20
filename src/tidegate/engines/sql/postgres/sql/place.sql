-- The ranks of jobs that become ready in this order; `core.fairness.rank` says which.
--
-- _lines, _users, _priorities: the flow of each. _kept: the rank it had in this line before, NULL where it had none.
-- Reads, and locks nothing: jobs that become ready elsewhere at the same time may get the same ranks.
CREATE OR REPLACE FUNCTION place(_lines integer[], _users text[], _priorities smallint[], _kept bigint[])
RETURNS bigint[]
LANGUAGE plpgsql STRICT
SET search_path FROM CURRENT
AS $$
DECLARE
    _ranks bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(_lines)]);
    _line integer;
    _user text;
    _priority smallint;
    _reached bigint;
    _last bigint;
    _rank bigint;
    _one record;
BEGIN
    FOR _one IN
        SELECT a.o, a.line_id, a.user_id, a.priority, a.kept
        FROM unnest(_lines, _users, _priorities, _kept) WITH ORDINALITY AS a(line_id, user_id, priority, kept, o)
        ORDER BY a.line_id, a.user_id, a.priority, a.o
    LOOP
        IF _one.line_id IS DISTINCT FROM _line OR _one.user_id <> _user OR _one.priority <> _priority THEN
            _line := _one.line_id;
            _user := _one.user_id;
            _priority := _one.priority;
            SELECT lines.reached INTO _reached FROM lines WHERE lines.id = _line;
            SELECT jobs.rank INTO _last FROM jobs
            WHERE jobs.line_id = _line AND jobs.user_id = _user AND jobs.priority = _priority AND jobs.stage IN (1, 2)
            ORDER BY jobs.rank DESC LIMIT 1;
            _last := coalesce(_last, 0);
        END IF;
        _rank := greatest(_reached, _last) + (512 >> _priority);
        IF _one.kept < _rank THEN
            _rank := _one.kept;
        END IF;
        _last := greatest(_last, _rank);
        _ranks[_one.o] := _rank;
    END LOOP;
    RETURN _ranks;
END
$$
