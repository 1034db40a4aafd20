-- announce: list a worker until an instant; drop those whose time is over.
-- flags: allow-oom
-- ARGV: 2 owner, 3 what it says of itself, 4 for how long. Returns nothing.
local ends = now + tonumber(ARGV[4])
expect('HLEN', 'workers')
expect('ZCARD', 'listed')
call('HSET', P .. 'workers', ARGV[2], ARGV[3])
call('ZADD', P .. 'listed', digits(ends), ARGV[2])
local gone = call('ZRANGEBYSCORE', P .. 'listed', '-inf', digits(now), 'LIMIT', 0, 1000)
if #gone > 0 then
  call('HDEL', P .. 'workers', unpack(gone))
  call('ZREM', P .. 'listed', unpack(gone))
end
return {}
