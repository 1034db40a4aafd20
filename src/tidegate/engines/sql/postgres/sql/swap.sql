-- swap: see `ports.Documents.swap`.
--
-- One array a column of the gates; of those of one name each is checked, and the last is set. Swaps take turns, by the
-- one row of `versions`. A gate that stays is updated in place, so that a claim which waits for it meets it again.
-- Returns whether the swap won and what is stored; or the first gate whose limit is not allowed, with the era that
-- its own must be above, and then nothing has changed.
CREATE OR REPLACE FUNCTION swap(
    _kind text, _key text, _value bytea, _expected bigint, _nonce text, _names text[], _not_befores bigint[],
    _mosts bigint[], _periods bigint[], _bursts bigint[], _eras bigint[],
    OUT won boolean, OUT version bigint, OUT value bytea, OUT wrong text, OUT above bigint
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    _stored_nonce text;
BEGIN
    PERFORM 1 FROM versions FOR UPDATE;
    SELECT documents.version, documents.value, documents.nonce INTO version, value, _stored_nonce
    FROM documents WHERE documents.kind = _kind AND documents.key = _key;
    version := coalesce(version, 0);
    won := _stored_nonce IS NOT DISTINCT FROM _nonce;
    IF won OR version <> _expected THEN
        RETURN;
    END IF;
    PERFORM 1 FROM gates WHERE (gates.kind = _kind AND gates.key = _key) OR gates.name = ANY (_names)
    ORDER BY gates.name FOR UPDATE;
    SELECT a.name, coalesce(gates.era, -1) INTO wrong, above
    FROM unnest(_names, _mosts, _eras) WITH ORDINALITY AS a(name, most, era, o)
    LEFT JOIN gates ON gates.name = a.name
    WHERE a.most IS NOT NULL AND gates.most IS NULL AND a.era <= coalesce(gates.era, -1)
    ORDER BY a.o LIMIT 1;
    IF wrong IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE versions SET last = last + 1 RETURNING last INTO version;
    INSERT INTO documents (kind, key, version, value, nonce) VALUES (_kind, _key, swap.version, _value, _nonce)
    ON CONFLICT ON CONSTRAINT documents_pkey DO UPDATE
    SET version = excluded.version, value = excluded.value, nonce = excluded.nonce;
    won := true;
    value := _value;
    IF _value IS NULL THEN
        _names := '{}';
    END IF;
    DELETE FROM gates WHERE gates.kind = _kind AND gates.key = _key AND NOT gates.name = ANY (_names);
    INSERT INTO gates AS old (name, kind, key, not_before, most, pace_period, pace_burst, era)
    SELECT DISTINCT ON (a.name) a.name, _kind, _key, a.not_before, a.most, a.period, a.burst, a.era
    FROM unnest(_names, _not_befores, _mosts, _periods, _bursts, _eras) WITH ORDINALITY
        AS a(name, not_before, most, period, burst, era, o)
    WHERE a.name = ANY (_names) ORDER BY a.name, a.o DESC
    ON CONFLICT ON CONSTRAINT gates_pkey DO UPDATE
    SET kind = _kind, key = _key, not_before = excluded.not_before, most = excluded.most,
        pace_period = excluded.pace_period, pace_burst = excluded.pace_burst, era = excluded.era,
        paced_until = CASE WHEN old.kind = _kind AND old.key = _key THEN old.paced_until END;
END
$$
