-- The number of the terms that jobs are submitted with, made at need.
CREATE OR REPLACE FUNCTION terms_of(_terms text, _kept_succeeded bigint, _kept_failed bigint, _kept_cancelled bigint)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    _id integer;
BEGIN
    LOOP
        SELECT terms.id INTO _id FROM terms WHERE md5(terms.terms) = md5(_terms) AND terms.terms = _terms;
        IF FOUND THEN
            RETURN _id;
        END IF;
        INSERT INTO terms (terms, kept_succeeded, kept_failed, kept_cancelled)
        VALUES (_terms, _kept_succeeded, _kept_failed, _kept_cancelled) ON CONFLICT DO NOTHING;
    END LOOP;
END
$$
