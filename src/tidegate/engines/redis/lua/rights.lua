-- Tries every command of the other scripts, on a key that holds nothing and is gone afterwards.
-- flags: allow-oom
-- ARGV: none. Answers the names of those that the user may not run.
local own, lacking = P .. 'rights', {}
local TRIED = {
  'DEL', 'UNLINK', 'EXISTS', 'GET', 'MGET', 'STRLEN', 'SETRANGE 0 x', 'APPEND x', 'SET 1', 'INCR', 'MSET x', 'DEL',
  'HSET f 1', 'HGET f', 'HMGET f', 'HLEN', 'HEXISTS f', 'HINCRBY f 1', 'HDEL f', 'DEL',
  'SADD m', 'SCARD', 'SMEMBERS', 'SREM m', 'DEL',
  'ZADD 1 m', 'ZCARD', 'ZCOUNT 0 1', 'ZSCORE m', 'ZRANGE 0 0', 'ZRANGEBYSCORE 0 1', 'ZREVRANGEBYSCORE 1 0',
  'ZRANGEBYLEX - +', 'ZREMRANGEBYRANK 0 0', 'ZREMRANGEBYSCORE 0 1', 'ZREM m', 'DEL',
  'XADD * s x', 'XLEN', 'XRANGE - +', 'XREVRANGE + -', 'DEL',
}

local function try(command, ...)
  local told = redis.pcall(command, ...)
  local why = type(told) == 'table' and told.err or ''
  if why:find('NOPERM') or why:find('ACL failure') or why:find('user executing the script') then
    lacking[#lacking + 1] = command:lower()
  end
end

try('TIME')
try('PUBLISH', P .. 'hints', 'job:')
for _, tried in ipairs(TRIED) do
  local words = {}
  for word in tried:gmatch('%S+') do words[#words + 1] = word end
  table.insert(words, 2, own)
  try(unpack(words))
end
return lacking
