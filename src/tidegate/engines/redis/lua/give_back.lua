-- give_back: uncount what `take` granted to a nonce.
-- flags: allow-oom
-- ARGV: 2 nonce. Returns nothing.
local told = call('HGET', P .. 'grants', ARGV[2])
if not told then return {} end
local members = cmsgpack.unpack(told)
expect('ZCARD', 'granted')
expect('HLEN', 'used')
for i = 1, #members, 2 do expect('ZCARD', 'w:' .. members[i]) end
for i = 1, #members, 2 do
  local key, m = members[i], members[i + 1]
  local used = call('HGET', P .. 'used', key)
  if used and call('ZREM', P .. 'w:' .. key, m) == 1 then
    local sum, longest = unpack_from('<i8i8', used)
    call('HSET', P .. 'used', key, pack('<i8i8', sum - tonumber(m:match('%d+$')), longest))
  end
end
call('HDEL', P .. 'grants', ARGV[2])
call('ZREM', P .. 'granted', ARGV[2])
return {}
