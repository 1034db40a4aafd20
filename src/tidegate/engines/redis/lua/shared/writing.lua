-- what is to be written --------------------------------------------------------------------------------------------

local born, keyed = {}, {} -- keys and values of new records; idempotency keys and what they stand for
local saved, changed = {}, {} -- old records, in order; whether one is among them, by id
local adds, removes, marks, unmarks, counts = {}, {}, {}, {}, {} -- by key: ZADD, ZREM, SADD, SREM, HINCRBY
local deleted, steps, topics, lines = {}, {}, {}, {}
local named, names = {}, {} -- new lines, number and name; names of lines by number, numbers by name
local entries = {} -- of histories, without a note, by event and run
local texts = {} -- numbers already written as text
local line_keys = {} -- by number of the line
local seq -- the newest, once it is known
local life -- of the store, once it is known

local function told_life() return life or call('MGET', P .. 'life')[1] or '' end -- never fails, as GET may

local function save(r)
  if not changed[r[ID]] then
    changed[r[ID]] = true
    saved[#saved + 1] = r
  end
end

local function put(batch, key, a, b)
  local list = batch[key]
  if not list then
    list = {}
    batch[key] = list
  end
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

local function pair(list, a, b)
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

local function zadd(key, score, m) -- scores as text: a batch shares most of them, and writing a number takes time
  local text = texts[score]
  if not text then
    text = digits(score)
    texts[score] = text
  end
  put(adds, key, text, m)
end

local function zrem(key, m) put(removes, key, m) end
local function sadd(key, m) put(marks, key, m) end
local function srem(key, m) put(unmarks, key, m) end
local function delete(key) deleted[#deleted + 1] = P .. key end

local function count(key, field, by)
  local fields = counts[key]
  if not fields then
    fields = {}
    counts[key] = fields
  end
  fields[field] = (fields[field] or 0) + by
end

local function tally(n, stand, by) -- so many more jobs of a line stand there
  local key = line_keys[n]
  if not key then
    key = 'line:' .. n
    line_keys[n] = key
  end
  count(key, stand, by)
end

local function ring(topic) topics[topic] = true end -- somebody may wait for it

local function step(id, told) -- for the feed: three parts, of which `told` is the step's number and its entry
  local n = #steps
  steps[n + 1], steps[n + 2], steps[n + 3] = char(#id), id, told
end

local function note(r, event, text) -- an entry in the job's history, and in the feed
  text = text or ''
  local kind = event + 16 * r[RUNS]
  local entry = text == '' and entries[kind] or pack('<i8BI4I2c0', now, event, r[RUNS], #text, text)
  if text == '' then entries[kind] = entry end
  r[STEPS] = r[STEPS] + 1
  r[HISTORY] = r[HISTORY] .. entry
  step(r[ID], pack('<I4', r[STEPS]) .. entry)
  save(r)
end

local function send(command, batch)
  for key, list in pairs(batch) do
    for first = 1, #list, MOST do
      call(command, P .. key, unpack(list, first, math.min(first + MOST - 1, #list)))
    end
  end
end

-- No write may fail: a script that does is not rolled back. So each key is asked for its size first, by a command
-- that fails where the key is of another type.
local function expect(command, ...)
  for _, key in ipairs({...}) do call(command, P .. key) end
end

local function expect_all()
  for command, batches in pairs({ZCARD = {adds, removes}, SCARD = {marks, unmarks}, HLEN = {counts}}) do
    for _, batch in ipairs(batches) do
      for key in pairs(batch) do call(command, P .. key) end
    end
  end
  for n, l in pairs(lines) do
    if next(l.given) then expect('ZCARD', 'flows:' .. n) end
    if l.moved then expect('ZCARD', 'turns:' .. l.queue) end
  end
  if next(marks) or next(unmarks) then expect('SCARD', 'owners') end
  if #keyed > 0 then expect('HLEN', 'keys') end
  if #named > 0 then expect('HLEN', 'lines', 'line_of') end
  if #steps > 0 then expect('XLEN', 'feed') end
  for _, r in ipairs(saved) do
    if #r[HISTORY] > LONG_HISTORY then expect('STRLEN', 'h:' .. r[ID]) end
  end
end

local function write_records()
  for _, r in ipairs(saved) do
    if #r[HISTORY] > LONG_HISTORY then
      call('APPEND', P .. 'h:' .. r[ID], r[HISTORY])
      r[HISTORY] = ''
    end
    r[VALUE] = encoded(r)
    pair(born, P .. 'j:' .. r[ID], r[VALUE])
  end
  for first = 1, #born, MOST do call('MSET', unpack(born, first, math.min(first + MOST - 1, #born))) end
end

local function write_lines() -- the flows' new ranks, and which lines have somebody to serve
  for n, l in pairs(lines) do
    for flow, rank in pairs(l.given) do zadd('flows:' .. n, rank, flow) end
    l.given = {}
  end
end

local function write_turns()
  for n, l in pairs(lines) do
    if l.moved then
      local key, m = P .. 'turns:' .. l.queue, format('%08d', n)
      if call('EXISTS', P .. 'ready:' .. n) == 1 then call('ZADD', key, l.turn, m) else call('ZREM', key, m) end
      l.moved = false
    end
  end
end

local function write_counts()
  for key, fields in pairs(counts) do
    for field, by in pairs(fields) do
      if by ~= 0 and call('HINCRBY', P .. key, field, by) == 0 and key == 'running' then
        call('HDEL', P .. key, field)
      end
    end
  end
end

local function write_owners()
  for key in pairs(unmarks) do
    local owner = key:match('^held:(.*)')
    if owner and call('EXISTS', P .. key) == 0 then call('SREM', P .. 'owners', owner) end
  end
  for key in pairs(marks) do
    local owner = key:match('^held:(.*)')
    if owner then call('SADD', P .. 'owners', owner) end
  end
end

local function lives() -- the store has a life from its first line on: it tells its lines' numbers from another's
  life = call('GET', P .. 'life')
  if life then return end
  local t = call('TIME')
  life = call('HLEN', P .. 'lines') == 0 and t[1] .. '.' .. t[2] or ''
  return life ~= ''
end

local function commit() -- write all that was collected; another commit may follow
  expect_all()
  if #named > 0 and lives() then call('SET', P .. 'life', life) end
  for i = 1, #named, 2 do
    if life ~= '' then call('HSET', P .. 'line:' .. named[i], 'life', life) end
    call('HSET', P .. 'lines', named[i], named[i + 1])
    call('HSET', P .. 'line_of', named[i + 1], named[i])
  end
  send('ZREM', removes)
  send('SREM', unmarks)
  write_records()
  write_lines()
  send('ZADD', adds)
  send('SADD', marks)
  write_owners()
  write_turns()
  write_counts()
  for first = 1, #keyed, MOST do
    call('HSET', P .. 'keys', unpack(keyed, first, math.min(first + MOST - 1, #keyed)))
  end
  for first = 1, #deleted, MOST do
    call('UNLINK', unpack(deleted, first, math.min(first + MOST - 1, #deleted)))
  end
  if seq then call('SET', P .. 'seq', digits(seq)) end
  for first = 1, #steps, 300 do
    call('XADD', P .. 'feed', 'MAXLEN', '~', 10000, '*', 's', table.concat(steps, '', first,
      math.min(first + 299, #steps)))
  end
  local rung = {}
  for topic in pairs(topics) do rung[#rung + 1] = topic end
  if #rung > 0 then redis.pcall('PUBLISH', P .. 'hints', table.concat(rung, '\n')) end
  born, keyed, saved, changed, adds, removes, marks, unmarks, counts = {}, {}, {}, {}, {}, {}, {}, {}, {}
  deleted, steps, topics, named = {}, {}, {}, {}
end
