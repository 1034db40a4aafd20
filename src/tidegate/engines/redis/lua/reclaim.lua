-- flags: allow-oom
-- Takes over leases that nobody keeps. ARGV: nonce, owner, limit, lease_for, overdue_by, number of dead owners, each,
-- number of tokens to keep, each, "1" where only some jobs may be taken, their ids.
-- Answers now, the store's life; then for each job id, record, end of the lease.
local nonce, owner, limit, lease_for = ARGV[2], ARGV[3], math.min(tonumber(ARGV[4]), 1000), tonumber(ARGV[5])
local late, dead, keep, kept, only, at = now - tonumber(ARGV[6]), {}, {}, tonumber(ARGV[8 + ARGV[7]]), nil, 8
for i = 1, tonumber(ARGV[7]) do dead[ARGV[7 + i]] = true end
at = 9 + ARGV[7]
for i = 0, kept - 1 do keep[ARGV[at + i]] = true end
if ARGV[at + kept] == '1' then
  only = {}
  for i = at + kept + 1, #ARGV do only[#only + 1] = ARGV[i] end
end

local function why(r) -- the reason to take a job, nil for none, and since when there is one
  if r[STATUS] == QUEUED then
    local waited = r[EXPIRES_AT] ~= 0 and r[EXPIRES_AT] <= now
    return waited and WAITED or nil, r[EXPIRES_AT]
  end
  if r[STATUS] ~= RUNNING or keep[r[TOKEN]] then return nil end
  local ends = tonumber(call('ZSCORE', P .. 'leases', member(r)))
  local lost = ends <= now or dead[r[OWNER]]
  if r[REASON] ~= 0 and not lost then return nil end -- a reaper has it
  if r[REASON] == WAITED then return WAITED, ends end
  if r[TIMEOUT_AT] ~= 0 and r[TIMEOUT_AT] <= late then return OVERDUE, ends end
  return lost and EXPIRED or nil, ends
end

local function candidates() -- ids that may have to be taken
  local found, met = {}, {}
  local function add(id)
    if not met[id] then found[#found + 1] = id end
    met[id] = true
  end
  local function search(key, until_, most)
    for _, m in ipairs(call('ZRANGEBYSCORE', P .. key, '-inf', until_, 'LIMIT', 0, most)) do add(id_of(m)) end
  end
  if only then
    for _, id in ipairs(only) do add(id) end
    return found
  end
  search('leases', now, limit + kept)
  search('timeouts', late, 1000 + kept)
  search('lapsed', now, limit)
  search('expiring', now, limit)
  for name in pairs(dead) do
    for _, id in ipairs(call('SMEMBERS', P .. 'held:' .. name)) do add(id) end
  end
  return found
end

local function choose()
  local found, chosen = candidates(), {}
  load(found)
  for _, id in ipairs(found) do
    local r = jobs[id]
    local reason, since
    if r then reason, since = why(r) end
    if reason then chosen[#chosen + 1] = {r = r, reason = reason, since = since} end
  end
  table.sort(chosen, function(a, b)
    if a.since ~= b.since then return a.since < b.since end
    return a.r[SEQ] < b.r[SEQ]
  end)
  return chosen
end

local NAMES = {'expired', 'overdue', 'waited'}

local function take(r, reason, place_)
  if r[STATUS] == QUEUED then
    unqueue(r)
    r[STATUS], r[STAGE] = RUNNING, 0
    count('line:' .. r[LINE], 'running', 1)
  else
    let_go(r)
  end
  r[REASON] = reason
  hold(r, nonce .. '.' .. place_, owner, now + lease_for)
  note(r, EVENT.reclaimed, NAMES[reason])
end

if not call('ZSCORE', P .. 'nonces', nonce) then
  local chosen = choose()
  for i = 1, math.min(#chosen, limit) do take(chosen[i].r, chosen[i].reason, i - 1) end
  if #chosen > 0 and limit > 0 then
    commit()
    remember(nonce, lease_for)
  end
end
local answers = {digits(now), told_life()}
for _, r in ipairs(under(nonce, owner)) do
  local n = #answers
  answers[n + 1], answers[n + 2] = r[ID], r[VALUE] or encoded(r)
  answers[n + 3] = digits(tonumber(call('ZSCORE', P .. 'leases', member(r))))
end
return answers
