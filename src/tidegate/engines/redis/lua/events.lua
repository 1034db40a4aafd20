-- events: the steps of all jobs after a cursor, but for jobs pruned since.
-- flags: no-writes
-- ARGV: 2 the cursor: an entry's id, with ".<n>" where only n of its steps are behind it, or "" for the present
--   3 the most steps. Returns the next cursor, "1" where steps were missed, the steps in one text.
local feed, limit = P .. 'feed', tonumber(ARGV[3])

local function one(command, from, to) -- an entry's id at an end of the feed
  local found = call(command, feed, from, to, 'COUNT', 1)
  return found[1] and found[1][1] or '0-0'
end

local function after(a, b)
  local a1, a2 = a:match('^(%d+)-(%d+)$')
  local b1, b2 = b:match('^(%d+)-(%d+)$')
  a1, a2, b1, b2 = tonumber(a1), tonumber(a2), tonumber(b1), tonumber(b2)
  return a1 > b1 or (a1 == b1 and a2 > b2)
end

local newest, oldest = one('XREVRANGE', '+', '-'), one('XRANGE', '-', '+')
if ARGV[2] == '' then return {newest, '0', ''} end
local cursor, done = ARGV[2]:match('^([^.]+)%.?(%d*)$')
local trimmed = after(oldest, cursor) and (cursor ~= '0-0' or call('XLEN', feed) >= 10000)
if trimmed or after(cursor, newest) then return {newest, '1', ''} end

local found, known, taken = {}, {}, 0
local position, from, skip = ARGV[2], (done == '' and '(' or '') .. cursor, tonumber(done) or 0

local function read_entry(id, s) -- whether all of it fitted
  local at, n = 1, 0
  while at <= #s do
    if taken == limit then
      if n > 0 then position = id .. '.' .. n end
      return false
    end
    local job = unpack_from('<Bc0', s, at)
    local size = #job + 20 + unpack_from('<I2', s, at + #job + 18)
    n = n + 1
    if n > skip then
      if known[job] == nil then known[job] = call('EXISTS', P .. 'j:' .. job) == 1 end
      if known[job] then
        found[#found + 1] = s:sub(at, at + size - 1)
        taken = taken + 1
      end
    end
    at = at + size
  end
  position, skip = id, 0
  return true
end

for _ = 1, 20 do
  local entries = call('XRANGE', feed, from, '+', 'COUNT', 20)
  for _, entry in ipairs(entries) do
    if not read_entry(entry[1], entry[2][2]) then return {position, '0', table.concat(found)} end
    from = '(' .. entry[1]
  end
  if #entries < 20 then break end
end
return {position, '0', table.concat(found)}
