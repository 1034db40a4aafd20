-- The names of a lane's gates: `core.job.Lane.gates`. _parents: as a JSON list.
CREATE OR REPLACE FUNCTION gates_of(_queue text, _upstream text, _parents text) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT ARRAY['queue:' || _queue] || CASE WHEN coalesce(_upstream, '') = '' THEN '{}' ELSE
        ARRAY['upstream:' || _upstream] || ARRAY(
            SELECT 'upstream:' || a.name FROM json_array_elements_text(_parents::json) WITH ORDINALITY AS a(name, o)
            ORDER BY a.o
        )
    END
$$
