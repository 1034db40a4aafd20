-- flags: allow-oom
-- Leases ready jobs to one owner, and tells the news; `engines/memory/claiming.py` says in which order.
-- ARGV: nonce, owner, lease_for, limit, share or "", number of turns, queue and quota of each, number of types, each,
-- then upstream and number of what is held.
-- Answers now, more ("1" or ""), wake_at or "", overdue, version, the store's life, "1" for a repeat, number of cancelling, each's id;
-- then for each lease id, record, eras, large payload, its end where this is a repeat.
local nonce, owner, lease_for, limit, share = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local turns, types, held, at = {}, {}, {}, 8
for i = 1, tonumber(ARGV[7]) do
  turns[i] = {queue = ARGV[at], quota = tonumber(ARGV[at + 1])}
  at = at + 2
end
for i = 1, tonumber(ARGV[at]) do types[ARGV[at + i]] = true end
for i = at + tonumber(ARGV[at]) + 1, #ARGV, 2 do held[ARGV[i]] = tonumber(ARGV[i + 1]) end
local SWEEP = 1000

-- what lapsed leaves the lines, what became due joins them ---------------------------------------------------------

local function expect_rest() -- what a claim touches besides what `commit` writes
  expect('ZCARD', 'leases', 'due', 'expiring', 'lapsed')
  expect('SCARD', 'held:' .. owner, 'cancelling:' .. owner, 'owners')
  expect('XLEN', 'feed')
  expect('STRLEN', 'version')
end

-- Functions are made where they are needed: most claims find nothing to do, and shall cost little.
local function promote_all() -- false where more may be due
  local function until_now(key) -- records by members of a ZSET, and whether that is all of them
    local found = call('ZRANGEBYSCORE', P .. key, '-inf', now, 'LIMIT', 0, SWEEP)
    if #found == 0 then return found, true end
    local records, ids = {}, {}
    for i, m in ipairs(found) do ids[i] = id_of(m) end
    load(ids)
    for i, id in ipairs(ids) do
      if jobs[id] then records[#records + 1] = jobs[id] else zrem(key, found[i]) end
    end
    return records, #found < SWEEP
  end

  local function sweep()
    local found, all = until_now('expiring')
    for _, r in ipairs(found) do lapse(r) end
    return all
  end

  local function promote_due()
    local found, all = until_now('due')
    for _, r in ipairs(found) do
      if not lapsed(r) then promote(r) elseif r[STAGE] == WAITING then lapse(r) end
    end
    return all
  end

  sweep()
  local all = promote_due()
  if next(changed) then
    expect_rest()
    commit()
  end
  return all
end

-- who may give how many --------------------------------------------------------------------------------------------

local rooms, spent, lent = {}, {}, {}

local function room(l, capped, before) -- how many a line may give now, or could before this round
  local least = PLENTY
  for _, g in ipairs(gates_of(l)) do
    if not rooms[g] then rooms[g] = admits(g) end
    least = math.min(least, rooms[g] + (before and spent[g] or 0))
  end
  if capped and share and l.upstream then
    least = math.min(least, share - (held[l.upstream] or 0) + (before and lent[l.upstream] or 0))
  end
  return least
end

local function left(l)
  if not l.left then l.left = call('ZCARD', P .. l.ready) end
  return l.left
end

local queues = {}

local function in_turn(queue) -- the lines with somebody in line, the least recently served first
  local list = queues[queue]
  if not list then
    list = {}
    for i, m in ipairs(call('ZRANGE', P .. 'turns:' .. queue, 0, -1)) do list[i] = tonumber(m) end
    queues[queue] = list
  elseif list.stale then
    table.sort(list, function(a, b)
      local one, other = line(a), line(b)
      if one.turn ~= other.turn then return one.turn < other.turn end
      return a < b
    end)
    list.stale = false
  end
  return list
end

local function gives(n) -- a line that has a job for this claim
  local l = line(n)
  return types[l.type] and left(l) > 0 and l
end

local leases = {}

local function told(id, record, eras, flags) -- one lease of the answer
  local n = #leases
  leases[n + 1], leases[n + 2], leases[n + 3] = id, record, eras
  leases[n + 4] = flags % 2 == PAYLOAD_APART and call('GET', P .. 'b:' .. id) or ''
  leases[n + 5] = ''
end

local function take() -- draw, and lease who is drawn
  local draws, taken, last_turn = {}, 0, nil

  local function draw(l, n)
    if n <= 0 then return 0 end
    last_turn = last_turn or tonumber(call('GET', P .. 'turn') or 0)
    last_turn = last_turn + 1
    draws[#draws + 1] = {line = l, n = n}
    l.turn, l.left, l.drawn, l.moved = last_turn, l.left - n, (l.drawn or 0) + n, true
    queues[l.queue].stale = true
    taken = taken + n
    for _, g in ipairs(gates_of(l)) do
      rooms[g], spent[g] = rooms[g] - n, (spent[g] or 0) + n
    end
    if l.upstream then
      held[l.upstream] = (held[l.upstream] or 0) + n
      lent[l.upstream] = (lent[l.upstream] or 0) + n
    end
    return n
  end

  local function round(queue, wanted, capped) -- each line with room gives its even part, once; as far as is needed
    local order, next_, found, drawn, place_ = in_turn(queue), 1, {}, 0, 1
    spent, lent = {}, {}
    while drawn < wanted do
      while #found < place_ - 1 + wanted - drawn and order[next_] do
        local l = gives(order[next_])
        if l and room(l, capped, true) > 0 then found[#found + 1] = l end
        next_ = next_ + 1
      end
      local l = found[place_]
      if not l then break end
      local even = math.ceil((wanted - drawn) / (#found - place_ + 1))
      drawn = drawn + draw(l, math.min(even, room(l, capped), left(l)))
      place_ = place_ + 1
    end
    return drawn
  end

  local function serve(queue, wanted, capped)
    wanted = math.min(wanted, limit - taken)
    while wanted > 0 do
      local drawn = round(queue, wanted, capped)
      if drawn == 0 then return end
      wanted = wanted - drawn
    end
  end

  local function draw_all() -- every queue up to its quota; then what is left, within the share; then beyond it
    for _, turn in ipairs(turns) do serve(turn.queue, turn.quota, true) end
    for _, turn in ipairs(turns) do serve(turn.queue, limit, true) end
    for _, turn in ipairs(turns) do serve(turn.queue, limit, false) end
  end

  local ends = now + lease_for

  local function heads() -- find who is drawn
    local ids = {}
    for _, d in ipairs(draws) do
      local l = d.line
      if not l.heads then
        l.heads, l.ids, l.given_out = call('ZRANGE', P .. l.ready, 0, l.drawn - 1), {}, 0
        for i, m in ipairs(l.heads) do
          local id = id_of(m)
          l.ids[i] = id
          if not jobs[id] then ids[#ids + 1] = id end
        end
      end
    end
    fetch(ids)
  end

  local function eras_of(l)
    if not l.eras then
      local told = {}
      for _, g in ipairs(gates_of(l)) do
        local n = #told
        told[n + 1], told[n + 2], told[n + 3] = g.name, g.era, g.most ~= nil
      end
      l.eras = #told > 0 and cmsgpack.pack(told) or ''
    end
    return l.eras
  end

  local function lease(r, eras)
    r[STATUS], r[STAGE], r[STARTED_AT], r[PROGRESS], r[ERAS] = RUNNING, 0, now, '', eras
    r[RUNS], r[TIMEOUT_AT] = r[RUNS] + 1, math.min(now + r[TIMEOUT], LATEST)
    local m = member(r)
    zrem('standing', m)
    if r[EXPIRES_AT] ~= 0 then zrem('expiring', m) end
    if r[TIMEOUT_AT] < ends then zadd('timeouts', r[TIMEOUT_AT], m) end
    hold(r, nonce .. '.' .. #leases / 5, owner, ends)
    note(r, EVENT.claimed)
    r[VALUE] = encoded(r)
    told(r[ID], r[VALUE], eras, r[FLAGS])
  end

  local held_key = 'held:' .. owner
  local FRESH_RUN = pack('<BBB', 2, RUNNING, 0)
  local lives, tails, birth = {}, {}, pack('<i8BI4I2', now, EVENT.claimed, 1, 0) -- parts that many records share
  local claimed = pack('<I4', 2) .. birth

  -- The same for a job to which nothing ever happened, as most are: its record is put together from what it has.
  local function lease_fresh(id, s, m, eras)
    local flags, expires_at, timeout = unpack_from('<Bi8i8', s, 53)
    local place_ = digits(#leases / 5)
    if not lives[timeout] then
      local timeout_at = math.min(now + timeout, LATEST)
      lives[timeout] = pack('<BI4I4I4I4I4I4i8i8i8i8i8i8I4I4', 0, 2, 1, 0, 0, 0, 0, now, 0, timeout_at, 0, 0, 0, 0, 0)
    end
    if not tails[eras] then
      tails[eras] = pack('<I2c0I2c0I4c0BBB', #owner, owner, #owner, owner, #eras, eras, 0, 0, 0) .. birth
    end
    local record = FRESH_RUN .. s:sub(4) .. lives[timeout] .. char(#nonce + 1 + #place_) .. nonce .. '.' .. place_
      .. tails[eras]
    pair(born, P .. 'j:' .. id, record)
    zrem('standing', m)
    if expires_at ~= 0 then zrem('expiring', m) end
    if timeout < lease_for then zadd('timeouts', math.min(now + timeout, LATEST), m) end
    zadd('leases', ends, m)
    sadd(held_key, id)
    step(id, claimed)
    told(id, record, eras, flags)
  end

  local function try(id, m, eras) -- lease who is drawn, unless it lapsed; false where it did
    local s, r = raw[id], jobs[id]
    if not r and s and s:byte() == 1 then
      local expires_at = unpack_from('<i8', s, 54)
      if expires_at == 0 or expires_at > now then
        lease_fresh(id, s, m, eras)
        return true
      end
    end
    r = r or s and read(id, s)
    if not r then return false end
    if lapsed(r) then lapse(r) else lease(r, eras) end
    return r[STATUS] == RUNNING
  end

  local function charge(l, n)
    tally(l.n, 'ready', -n)
    tally(l.n, 'running', n)
    for _, g in ipairs(gates_of(l)) do
      if g.most then
        g.running = g.running + n
        count('running', g.era .. ':' .. g.name, n)
      end
      if g.period then
        g.paced = math.max(g.paced or now, now) + n * g.period
        g.dirty = true
      end
    end
  end

  local function lease_drawn()
    for _, d in ipairs(draws) do
      local l, live, last = d.line, 0, nil
      local eras = eras_of(l)
      for i = l.given_out + 1, l.given_out + d.n do
        if try(l.ids[i], l.heads[i], eras) then
          live, last = live + 1, l.heads[i]
        end
      end
      if last then l.reached = math.max(l.reached, tonumber(call('ZSCORE', P .. l.ready, last))) end
      l.given_out = l.given_out + d.n
      charge(l, live)
    end
  end

  local function write_draws()
    expect_rest()
    expect_all()
    for _, d in ipairs(draws) do expect('ZCARD', 'flows:' .. d.line.n) end
    for _, d in ipairs(draws) do
      local l = d.line
      if l.drawn > 0 then
        call('ZREMRANGEBYRANK', P .. l.ready, 0, l.drawn - 1)
        call('HSET', P .. 'line:' .. l.n, 'reached', digits(l.reached), 'turn', digits(l.turn))
        call('ZREMRANGEBYSCORE', P .. 'flows:' .. l.n, '-inf', l.reached)
        l.drawn = 0
      end
    end
    for name, g in pairs(gates) do
      if g and g.dirty then call('HSET', P .. 'gate:' .. name, 'paced', digits(g.paced)) end
    end
    call('SET', P .. 'turn', digits(last_turn))
    commit()
    remember(nonce, lease_for)
  end

  draw_all()
  if #draws > 0 then
    heads()
    lease_drawn()
    write_draws()
  end
end

-- the news ---------------------------------------------------------------------------------------------------------

local function soonest(key)
  return tonumber(call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')[2])
end

local function open() -- when one of the lines gives a job, nil where none is known to
  local first
  for _, turn in ipairs(turns) do
    for _, n in ipairs(in_turn(turn.queue)) do
      local l = gives(n)
      if l and room(l, false) > 0 then return now, true end
      local opens = l and opens_at(l)
      if opens and (not first or opens < first) then first = opens end
    end
  end
  return first, false
end

local repeated, all_due = call('ZSCORE', P .. 'nonces', nonce), true
if repeated then
  for _, r in ipairs(under(nonce, owner)) do
    told(r[ID], encoded(r), r[ERAS], r[FLAGS])
    leases[#leases] = digits(tonumber(call('ZSCORE', P .. 'leases', member(r))))
  end
else
  local lapses, falls_due = soonest('expiring'), soonest('due')
  if lapses and lapses <= now or falls_due and falls_due <= now then all_due = promote_all() end
  if limit > 0 then take() end
end
local opens, more = open()
local expiring, wake = soonest('expiring'), opens
for _, instant in ipairs({soonest('leases') or false, soonest('due') or false, expiring or false}) do
  if instant and (not wake or instant < wake) then wake = instant end
end
local waiting = call('ZCARD', P .. 'lapsed')
if waiting > 0 or not all_due then wake = now end
local overdue = waiting + call('ZCOUNT', P .. 'leases', '-inf', now)
if expiring and expiring <= now then overdue = overdue + call('ZCOUNT', P .. 'expiring', '-inf', now) end
local cancelling = call('SMEMBERS', P .. 'cancelling:' .. owner)
local counted = call('MGET', P .. 'version', P .. 'life')
local answers = {digits(now), (more or not all_due) and '1' or '', wake and digits(math.max(wake, now)) or '',
  digits(math.min(overdue, SWEEP)), counted[1] or '0', counted[2] or '', repeated and '1' or '', digits(#cancelling)}
for _, id in ipairs(cancelling) do answers[#answers + 1] = id end
for i, part in ipairs(leases) do answers[8 + #cancelling + i] = part end
return answers
