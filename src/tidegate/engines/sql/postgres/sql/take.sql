-- take: see `ports.Documents.take`.
--
-- One array a column of the takes. Calls that name the same key take turns.
-- Returns for each take, in order, whether it is granted, what remains of its window, and otherwise in how many
-- microseconds it would be granted (NULL: in a whole window).
CREATE OR REPLACE FUNCTION take(
    _at bigint, _nonce text, _keys text[], _ns bigint[], _limits bigint[], _windows bigint[]
) RETURNS TABLE (granted boolean, remaining bigint, frees_in bigint)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _now bigint;
    _again boolean;
    _used bigint[];
    _wanted bigint[];
    _fits boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(a.lock) FROM (
        SELECT DISTINCT hashtextextended(current_schema() || ' take ' || k.key, 0) AS lock FROM unnest(_keys) AS k(key)
        ORDER BY 1
    ) AS a;
    _now := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    _again := EXISTS (SELECT 1 FROM grants WHERE grants.nonce = _nonce);
    FOR _round IN 1 .. 2 LOOP
        _used := ARRAY(
            SELECT (
                SELECT coalesce(sum(grants.n), 0)::bigint FROM grants
                WHERE grants.key = a.key AND grants.at > _now - a.span
            ) FROM unnest(_keys, _windows) WITH ORDINALITY AS a(key, span, o) ORDER BY a.o
        );
        EXIT WHEN _again OR NOT coalesce(_fits, true);
        _wanted := ARRAY(
            SELECT sum(a.n) OVER (PARTITION BY a.key)::bigint
            FROM unnest(_keys, _ns) WITH ORDINALITY AS a(key, n, o) ORDER BY a.o
        );
        _fits := NOT EXISTS (
            SELECT 1 FROM unnest(_used, _wanted, _limits) AS a(used, wanted, most) WHERE a.used + a.wanted > a.most
        );
        EXIT WHEN NOT _fits;
        INSERT INTO grants (nonce, key, n, at, until)
        SELECT _nonce, a.key, a.n, _now, _now + a.span FROM unnest(_keys, _ns, _windows) AS a(key, n, span);
        _again := true;
    END LOOP;
    RETURN QUERY
    SELECT _again OR a.used + a.wanted <= a.most, greatest(a.most - a.used, 0), CASE
            WHEN _again OR a.used + a.wanted <= a.most THEN 0
            ELSE (
                SELECT b.at + a.span - _now FROM (
                    SELECT grants.at, sum(grants.n) OVER (ORDER BY grants.at, grants.id) AS so_far
                    FROM grants WHERE grants.key = a.key AND grants.at > _now - a.span
                ) AS b
                WHERE b.so_far >= a.used + a.wanted - a.most ORDER BY b.at LIMIT 1
            )
        END
    FROM unnest(_keys, _limits, _windows, _used, coalesce(_wanted, _ns)) WITH ORDINALITY
        AS a(key, most, span, used, wanted, o)
    ORDER BY a.o;
END
$$
