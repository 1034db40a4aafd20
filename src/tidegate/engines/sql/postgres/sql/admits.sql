-- How many starts a gate admits now. _before, _most, _period, _burst, _paced: as in `gates`; _running: the leases of
-- its era.
CREATE OR REPLACE FUNCTION admits(
    _now bigint, _before bigint, _most bigint, _running bigint, _period bigint, _burst bigint, _paced bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN _before > _now THEN 0 ELSE least(
        1::bigint << 60,
        _most - _running,
        (_burst * _period - greatest(_paced - _now, 0)) / _period
    ) END
$$
