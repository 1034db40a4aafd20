-- lines ------------------------------------------------------------------------------------------------------------

local function line(n)
  local l = lines[n]
  if not l then
    local name = names[n] or call('HGET', P .. 'lines', n)
    if not name then return nil end
    local size, rest = name:match('^(%d+):(.*)')
    local type_, told = rest:sub(1, size), cjson.decode(rest:sub(size + 1))
    local own = call('HMGET', P .. 'line:' .. n, 'reached', 'turn', 'life')
    local upstream = told[2] ~= cjson.null and told[2] or nil
    l = {n = n, queue = told[1], upstream = upstream, parents = told[3], type = type_, last = {}, given = {},
      ready = 'ready:' .. n, reached = tonumber(own[1] or 0), turn = tonumber(own[2] or 0),
      life = own[3] or ''}
    lines[n] = l
  end
  return l
end

local learned = {} -- names and numbers of lines that the caller did not know

local function line_of(name) -- the number of a line, made at need
  local n = names[name] or tonumber(call('HGET', P .. 'line_of', name))
  if not n then
    n = call('HLEN', P .. 'lines') + #named / 2 + 1
    pair(named, n, name)
  end
  names[name], names[n] = n, name
  pair(learned, name, digits(n))
  return n
end

local function tell_lines(answers) -- the store's life, name and number of each, once all is written
  if #learned == 0 then return end
  answers[#answers + 1] = told_life()
  for _, told in ipairs(learned) do answers[#answers + 1] = told end
end

local flows = {} -- names of flows, by priority and user

local function flow_of(priority, user)
  local named_ = flows[priority]
  if not named_ then
    named_ = {}
    flows[priority] = named_
  end
  local flow = named_[user]
  if not flow then
    flow = priority .. ':' .. user
    named_[user] = flow
  end
  return flow
end

local function place(l, user, priority, kept) -- the rank of a job that becomes ready; `kept` is one it had here
  local flow = flow_of(priority, user)
  local last = l.last[flow] or tonumber(call('ZSCORE', P .. 'flows:' .. l.n, flow) or 0)
  local rank = math.max(l.reached, last) + 512 / 2 ^ priority
  if kept > 0 and kept < rank then rank = kept end
  l.last[flow] = math.max(last, rank)
  if rank > last and rank > l.reached then l.given[flow] = rank end
  return rank
end

local function stand(l, rank, run_at, m) -- put somebody in line
  zadd(l.ready, rank, m)
  zadd('standing', run_at, m)
  tally(l.n, 'ready', 1)
  l.moved = true
end

-- steps of a job ---------------------------------------------------------------------------------------------------

local function queue(r) -- in line if it is due; else a claim puts it there
  local l = line(r[LINE])
  r[STATUS] = QUEUED
  if r[RUN_AT] <= now then
    local user = static(r)
    r[STAGE], r[RANK] = IN_LINE, place(l, user, r[PRIORITY], r[RANK])
    stand(l, r[RANK], r[RUN_AT], member(r))
  else
    r[STAGE] = WAITING
    zadd('due', r[RUN_AT], member(r))
    tally(l.n, 'waiting', 1)
  end
  if r[EXPIRES_AT] ~= 0 then zadd('expiring', r[EXPIRES_AT], member(r)) end
  ring('queue:' .. l.queue)
  save(r)
end

local function unqueue(r) -- a queued job goes elsewhere
  local m, stage, n = member(r), r[STAGE], r[LINE]
  if stage == WAITING then
    zrem('due', m)
  elseif stage == IN_LINE then
    zrem('ready:' .. n, m)
    line(n).moved = true
  else
    zrem('lapsed', m)
  end
  if stage == IN_LINE or stage == LAPSED_IN_LINE then
    zrem('standing', m)
    tally(n, 'ready', -1)
  else
    tally(n, 'waiting', -1)
  end
  if r[EXPIRES_AT] ~= 0 and stage <= IN_LINE then zrem('expiring', m) end
  save(r)
end

local function promote(r) -- it is due: in line
  local l, user = line(r[LINE]), static(r)
  r[STAGE], r[RANK] = IN_LINE, place(l, user, r[PRIORITY], r[RANK])
  zrem('due', member(r))
  tally(l.n, 'waiting', -1)
  stand(l, r[RANK], r[RUN_AT], member(r))
  save(r)
end

local function lapsed(r) return r[EXPIRES_AT] ~= 0 and r[EXPIRES_AT] <= now end

local function lapse(r) -- out of everybody's way, until it is reclaimed
  local m = member(r)
  if r[STAGE] == IN_LINE then
    zrem('ready:' .. r[LINE], m)
    line(r[LINE]).moved = true
  else
    zrem('due', m)
  end
  r[STAGE] = r[STAGE] == IN_LINE and LAPSED_IN_LINE or LAPSED_WAITING
  zrem('expiring', m)
  zadd('lapsed', r[EXPIRES_AT], m)
  save(r)
end

local function hold(r, token, owner, ends) -- a lease on a running job
  r[TOKEN], r[OWNER] = token, owner
  if r[FORMER] == '' then r[FORMER] = owner end
  zadd('leases', ends, member(r))
  sadd('held:' .. owner, r[ID])
  if r[CANCEL_AT] ~= 0 then sadd('cancelling:' .. owner, r[ID]) end
  save(r)
end

local timed -- whether any run stands in `timeouts`, once that was asked

local function untime(m)
  if timed == nil then timed = call('ZCARD', P .. 'timeouts') > 0 end
  if timed then zrem('timeouts', m) end
end

local function let_go(r) -- its holder has it no more; another may get it, or `release` follows
  srem('held:' .. r[OWNER], r[ID])
  if r[CANCEL_AT] ~= 0 then srem('cancelling:' .. r[OWNER], r[ID]) end
  if r[REASON] == 0 then untime(member(r)) end
end

local function places(eras) -- where a run that was claimed in these is counted
  local found, told = {}, eras ~= '' and cmsgpack.unpack(eras) or {}
  for i = 1, #told, 3 do
    if told[i + 2] then found[#found + 1] = told[i + 1] .. ':' .. told[i] end
  end
  return found
end

local function release(r) -- the run is over
  let_go(r)
  zrem('leases', member(r))
  tally(r[LINE], 'running', -1)
  for _, place in ipairs(places(r[ERAS])) do count('running', place, -1) end
  r[TOKEN], r[OWNER], r[FORMER], r[ERAS], r[REASON] = '', '', '', '', 0
  save(r)
end

local function finish(r, status) -- it is neither queued nor running any more
  local _, key = static(r)
  r[STATUS], r[STAGE], r[RANK], r[FINISHED_AT] = status, 0, 0, now
  r[PRUNE_AT] = math.min(now + math.max(r[KEPT + status - SUCCEEDED], LEAST_KEPT), LATEST)
  zadd('ending', r[PRUNE_AT], member(r))
  if key ~= '' then zadd('forget', math.max(now + KEY_KEPT, r[PRUNE_AT]), key) end
  if status ~= SUCCEEDED then zadd('status:' .. ENDED[status], r[SEQ], r[ID]) end
  tally(r[LINE], status == FAILED and 'dead' or ENDED[status], 1)
  ring('job:' .. r[ID])
  save(r)
end

local function under(nonce, owner) -- the records that a claim or reclaim gave to `owner` and that it still holds
  local ids, found, size = call('SMEMBERS', P .. 'held:' .. owner), {}, #nonce + 1
  load(ids)
  for _, id in ipairs(ids) do
    if jobs[id] and jobs[id][TOKEN]:sub(1, size) == nonce .. '.' then found[#found + 1] = jobs[id] end
  end
  table.sort(found, function(a, b) return tonumber(a[TOKEN]:sub(size + 1)) < tonumber(b[TOKEN]:sub(size + 1)) end)
  return found
end

local function remember(nonce, lease_for) -- a claim or reclaim took jobs: from now on its nonce is a repeat
  call('ZREMRANGEBYSCORE', P .. 'nonces', '-inf', now)
  call('ZADD', P .. 'nonces', now + math.max(lease_for, NONCE_KEPT), nonce)
end

-- new jobs ---------------------------------------------------------------------------------------------------------

local BIRTH = pack('<I4i8BI4I2', 1, now, EVENT.submitted, 0, 0)
local stale = false -- whether a job was sent with the number of a line that another store gave
local dues, indexes = {}, {} -- instants by what stands for them; keys of indexes by user

local function due(when) -- an instant, or "+" and a delay
  local at = dues[when]
  if not at then
    at = when:byte() == 43 and math.min(now + tonumber(when:sub(2)), LATEST) or tonumber(when)
    dues[when] = at
  end
  return at
end

local function texts_of(tail) return unpack_from('<I2c0I2c0I2c0', tail, 47) end -- user, key, fingerprint

-- `job` is where it stands in ARGV, as drafting.py says; ARGV[2] is the life of the store that gave the lines' numbers.
local function accept(job, user, key, fingerprint)
  local id, where, when, tail, payload = unpack(ARGV, job, job + 4)
  local told = tonumber(where)
  local l, run_at, stage, rank = line(told or line_of(where)), due(when), WAITING, 0
  if told and not (l and l.life == ARGV[2]) then
    stale = true
    return
  end
  local priority, _, expires_at = unpack_from('<BBi8', tail)
  seq = (seq or tonumber(call('GET', P .. 'seq') or 0)) + 1
  local number = format('%014d', seq)
  local m = number .. id
  if run_at <= now then
    stage, rank = IN_LINE, place(l, user, priority, 0)
    stand(l, rank, run_at, m)
  else
    zadd('due', run_at, m)
    tally(l.n, 'waiting', 1)
  end
  if expires_at ~= 0 then zadd('expiring', expires_at, m) end
  put(adds, 'all', number, id)
  if user ~= '' then
    if not indexes[user] then indexes[user] = 'user:' .. user end
    put(adds, indexes[user], number, id)
  end
  pair(born, P .. 'j:' .. id,
    pack('<BBBI8I4I4I8i8i8i8', 1, QUEUED, stage, seq, l.n, l.n, rank, run_at, run_at, now) .. tail)
  if payload ~= '' then pair(born, P .. 'b:' .. id, payload) end
  if key ~= '' then pair(keyed, key, pack('<Bc0', #id, id) .. fingerprint) end
  step(id, BIRTH)
  if not l.rung then ring('queue:' .. l.queue) end
  l.rung = true
end
