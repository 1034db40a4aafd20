-- find: jobs newest first, from an index, at a bounded cost; the finer filters are the caller's.
-- flags: no-writes
-- ARGV: 2 the index: all, user:<user>, status:failed, status:cancelled, queued or running
--   3 a seq to stay below, or ""     4, 5 created from (inclusive) and before (exclusive), or ""
--   6 a status, or ""                7 "," and, each followed by ",", the lines wanted; "" for any
--   8 how many lines are known       9 the most jobs to look at
--   10 how many matches to skip      11 how many are enough
--   12 fields of the lines' counts whose sum is the total, "index" for the size of the index, or ""
--   13 the life of the store whose lines are known
-- Returns "lines", the life and how many there are where others are known; else now, the life, the total or nil, where
--   to go on or nil at the end, how many matches were skipped, how many jobs the index had to look at at most,
--   how many gates are shut and their names, then id and record of each match.
local life = told_life()
local wanted = ARGV[7] ~= '' and {} or nil
if wanted then
  local many = call('HLEN', P .. 'lines')
  if many ~= tonumber(ARGV[8]) or life ~= ARGV[13] then return {'lines', life, digits(many)} end
  for n in ARGV[7]:gmatch('%d+') do wanted[tonumber(n)] = true end
end
local status = tonumber(ARGV[6])

local function created(from) -- the first job from a seq on: its seq, and when it was created
  local found = call('ZRANGEBYSCORE', P .. 'all', digits(from), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local r = found[1] and record(found[1])
  if r then return r[SEQ], r[CREATED_AT] end
end

local function first_since(instant) -- seq and created_at grow together
  local low, high = 1, tonumber(call('GET', P .. 'seq') or 0) + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local own, at = created(middle)
    if not own or at >= instant then high = middle else low = own + 1 end
  end
  return low
end

local low = ARGV[4] == '' and 1 or first_since(tonumber(ARGV[4]))
local below = ARGV[5] == '' and math.huge or first_since(tonumber(ARGV[5]))
below = math.min(below, tonumber(ARGV[3]) or math.huge)

local function gathered(...) -- an index that is small: all its members, newest first
  local seen, sorted = {}, {}
  for _, key in ipairs({...}) do
    for _, m in ipairs(call('ZRANGE', P .. key, 0, -1)) do
      if not seen[m] then
        seen[m] = true
        sorted[#sorted + 1] = m
      end
    end
  end
  table.sort(sorted, function(a, b) return a > b end)
  local at = 0
  return function()
    local ids = {}
    while at < #sorted and #ids < 200 do
      at = at + 1
      local own = tonumber(sorted[at]:sub(1, 14))
      if own < low then break end
      if own < below then ids[#ids + 1] = id_of(sorted[at]) end
    end
    return ids
  end
end

local function ranged(key) -- one that stands in the order of seq
  return function()
    local top = below == math.huge and '+inf' or '(' .. digits(below)
    local found = call('ZREVRANGEBYSCORE', P .. key, top, digits(low), 'WITHSCORES', 'LIMIT', 0, 200)
    local ids = {}
    for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
    if #ids > 0 then below = tonumber(found[#found]) end
    return ids
  end
end

local function between(key) -- one that is ranged, and how many of it there are
  local top = below == math.huge and '+inf' or '(' .. digits(below)
  return ranged(key), call('ZCOUNT', P .. key, digits(low), top)
end

local function source(name)
  if name == 'running' then return gathered('leases'), call('ZCARD', P .. 'leases') end
  if name ~= 'queued' then return between(name) end
  local many = call('ZCARD', P .. 'due') + call('ZCARD', P .. 'standing') + call('ZCARD', P .. 'lapsed')
  if many > MOST then return between('all') end
  return gathered('due', 'standing', 'lapsed'), many
end

local left, skip, enough, ended = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), false
local next_ids, size = source(ARGV[2])
local matches, last = {}, nil
if wanted and not next(wanted) then left, ended = 0, true end
while left > 0 and enough > 0 do
  local ids = next_ids()
  if #ids == 0 then
    ended = true
    break
  end
  local keys = {}
  for i, id in ipairs(ids) do keys[i] = P .. 'j:' .. id end
  for i, s in ipairs(call('MGET', unpack(keys))) do
    if left == 0 or enough == 0 then break end
    left = left - 1
    if s then
      local _, own, _, number, line_number = unpack_from('<BBBI8I4', s)
      last = number
      if (not status or own == status) and (not wanted or wanted[line_number]) then
        if skip > 0 then
          skip = skip - 1
        else
          matches[#matches + 1], matches[#matches + 2], enough = ids[i], s, enough - 1
        end
      end
    end
  end
end

local function total()
  if ARGV[12] == '' then return false end
  if ARGV[12] == 'index' then return digits(call('ZCARD', P .. ARGV[2])) end
  local sum, fields = 0, {}
  for field in ARGV[12]:gmatch('%a+') do fields[#fields + 1] = field end
  for n = 1, call('HLEN', P .. 'lines') do
    if not wanted or wanted[n] then
      for _, value in ipairs(call('HMGET', P .. 'line:' .. n, unpack(fields))) do sum = sum + (value or 0) end
    end
  end
  return digits(sum)
end

local shut = call('ZRANGEBYSCORE', P .. 'shut', '(' .. digits(now), '+inf')
local answers = {digits(now), life, total(), not ended and last and digits(last) or false,
  digits(tonumber(ARGV[10]) - skip), digits(size), digits(#shut)}
for _, name in ipairs(shut) do answers[#answers + 1] = name end
for _, value in ipairs(matches) do answers[#answers + 1] = value end
return answers
