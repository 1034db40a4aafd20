-- stats: how many jobs stand where, by line.
-- flags: no-writes
-- ARGV: none. Returns now, the store's life, the earliest run_at of a job in line or nil, then seven counts for each line from 1 on:
--   waiting, ready, running, succeeded, dead, failed, cancelled.
local oldest = call('ZRANGE', P .. 'standing', 0, 0, 'WITHSCORES')
local answers = {digits(now), told_life(), oldest[2] or false}
for n = 1, call('HLEN', P .. 'lines') do
  local counts = call('HMGET', P .. 'line:' .. n, 'waiting', 'ready', 'running', 'succeeded', 'dead', 'failed',
    'cancelled')
  for _, value in ipairs(counts) do answers[#answers + 1] = value or '0' end
end
return answers
