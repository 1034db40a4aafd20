-- Fails (23503) where one of these lines or terms is not there: a process remembers a number that the store has lost.
CREATE OR REPLACE FUNCTION recall(_lines integer[], _terms integer[]) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (
        SELECT a.id FROM unnest(_lines) AS a(id) WHERE a.id IS NOT NULL
        EXCEPT SELECT lines.id FROM lines WHERE lines.id = ANY (_lines)
    ) OR EXISTS (
        SELECT a.id FROM unnest(_terms) AS a(id) EXCEPT SELECT terms.id FROM terms WHERE terms.id = ANY (_terms)
    ) THEN
        RAISE EXCEPTION 'a line or terms are not there' USING ERRCODE = '23503';
    END IF;
END
$$
