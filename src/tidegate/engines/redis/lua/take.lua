-- take: count against exact sliding windows, all or nothing.
-- flags:
-- ARGV: 2 nonce; then for each take key, n, limit, window. Returns for each granted ("1" or "0"), what remains,
--   and in how many microseconds it would be granted.
-- `w:<key>` ZSET "<nonce>:<place>:<n>" by its instant; `used` HASH key -> the sum of those n, the longest window;
-- `grants` HASH nonce -> its keys and members. `windows` and `granted` tell `prune` when they are over.
local nonce, takes, wanted, sums = ARGV[2], {}, {}, {}
for i = 3, #ARGV, 4 do
  local key, n = ARGV[i], tonumber(ARGV[i + 1])
  takes[#takes + 1] = {key = key, n = n, limit = tonumber(ARGV[i + 2]), window = tonumber(ARGV[i + 3])}
  wanted[key] = (wanted[key] or 0) + n
end

local function size(m) return tonumber(m:match('%d+$')) end

local function before(key, instant) -- what was taken at or before it
  local sum = 0
  for _, m in ipairs(call('ZRANGEBYSCORE', P .. 'w:' .. key, '-inf', digits(instant))) do sum = sum + size(m) end
  return sum
end

local function all(key) -- the sum, and the longest window that was asked of it
  local told = call('HGET', P .. 'used', key)
  if told then return unpack_from('<i8i8', told) end
  return 0, 0
end

local function used(take)
  local key = take.key .. '\0' .. take.window
  if not sums[key] then sums[key] = all(take.key) - before(take.key, now - take.window) end
  return sums[key]
end

local function frees_in(take, needed) -- until so many units are out of the window
  local first, from = 0, '(' .. digits(now - take.window)
  while true do
    local found = call('ZRANGEBYSCORE', P .. 'w:' .. take.key, from, '+inf', 'WITHSCORES', 'LIMIT', first, 100)
    if #found == 0 then return take.window end
    for i = 1, #found, 2 do
      needed = needed - size(found[i])
      if needed <= 0 then return tonumber(found[i + 1]) + take.window - now end
    end
    first = first + 100
  end
end

local answers, fits = {}, true
local repeated = call('HEXISTS', P .. 'grants', nonce) == 1
for _, take in ipairs(takes) do fits = fits and used(take) + wanted[take.key] <= take.limit end

local function answer(granted, remaining, after)
  answers[#answers + 1] = granted and '1' or '0'
  answers[#answers + 1] = digits(math.max(remaining, 0))
  answers[#answers + 1] = digits(after)
end

if repeated or not fits then
  for _, take in ipairs(takes) do
    local needed = used(take) + wanted[take.key] - take.limit
    local granted = repeated or needed <= 0
    answer(granted, take.limit - used(take), granted and 0 or frees_in(take, needed))
  end
  return answers
end

local members, longest, own = {}, {}, 0
for place, take in ipairs(takes) do
  members[#members + 1] = take.key
  members[#members + 1] = nonce .. ':' .. place .. ':' .. digits(take.n)
  longest[take.key] = math.max(longest[take.key] or 0, take.window)
  own = math.max(own, take.window)
end
expect('ZCARD', 'windows', 'granted')
for key, window in pairs(longest) do
  local sum, kept = all(key)
  kept = math.max(kept, window)
  sum = sum - before(key, now - kept) + wanted[key]
  call('HSET', P .. 'used', key, pack('<i8i8', sum, kept))
  call('ZADD', P .. 'windows', digits(now + kept), key)
  call('ZREMRANGEBYSCORE', P .. 'w:' .. key, '-inf', digits(now - kept))
end
for i = 1, #members, 2 do call('ZADD', P .. 'w:' .. members[i], digits(now), members[i + 1]) end
call('HSET', P .. 'grants', nonce, cmsgpack.pack(members))
call('ZADD', P .. 'granted', digits(now + own), nonce)
sums = {}
for _, take in ipairs(takes) do answer(true, take.limit - used(take), 0) end
return answers
