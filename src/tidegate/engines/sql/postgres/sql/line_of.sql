-- The line of a lane and a type, made at need. _parents: as a JSON list.
CREATE OR REPLACE FUNCTION line_of(_queue text, _upstream text, _parents text, _type text) RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    _id integer;
BEGIN
    LOOP
        SELECT lines.id INTO _id FROM lines
        WHERE lines.queue = _queue AND lines.upstream IS NOT DISTINCT FROM _upstream AND lines.parents = _parents
            AND lines.type = _type;
        IF FOUND THEN
            RETURN _id;
        END IF;
        INSERT INTO lines (queue, upstream, parents, type, gates)
        VALUES (_queue, _upstream, _parents, _type, gates_of(_queue, _upstream, _parents))
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$$
