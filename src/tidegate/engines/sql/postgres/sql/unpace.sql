-- Let a gate that is paced further ahead than its burst reaches open in time: a clock was wrong, or the pace was slower.
-- The present is read here, for another claim may have paced it since this one began.
CREATE OR REPLACE FUNCTION unpace(_name text, _at bigint) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    _locked text := (SELECT gates.name FROM gates WHERE gates.name = _name FOR UPDATE SKIP LOCKED);
    _now bigint := coalesce(_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
BEGIN
    UPDATE gates SET paced_until = _now + gates.pace_burst * gates.pace_period
    WHERE gates.name = _locked AND gates.paced_until > _now + gates.pace_burst * gates.pace_period;
END
$$
