-- workers: what those listed now say of themselves.
-- flags: no-writes
-- ARGV: none. Returns their texts.
local owners = call('ZRANGEBYSCORE', P .. 'listed', '(' .. digits(now), '+inf')
if #owners == 0 then return {} end
return call('HMGET', P .. 'workers', unpack(owners))
