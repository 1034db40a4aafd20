-- flags: allow-oom
-- Ends runs, each with its follow-up jobs. ARGV: the life of the store that gave lines' numbers; the number of endings;
-- for each id, token, how, note, and for
--   "succeed" the outcome          "retry" the outcome, when            "defer" the outcome ("" keeps the error), when,
--   "bury" the outcome, refund     "cancel" nothing more                refund, lane as JSON ("" for its own);
-- then the number of large results, and for each the number of its ending and the result; then for each follow-up job
-- the number of its ending, and the job as for submit. A refund is "", 1 upstream fault, 2 crash or 3 interruption.
-- Answers for each "applied", "cancelling" or "lost"; then the life, name and number of lines the caller had no number
-- for. "lines" alone: the numbers are not known.
local WIDTHS = {succeed = 5, retry = 6, defer = 8, bury = 6, cancel = 4}
local number, starts, ids, answers, results, follow, followed = tonumber(ARGV[3]), {}, {}, {}, {}, {}, {}
local at = 4
for i = 1, number do
  starts[i], ids[i] = at, ARGV[at]
  at = at + WIDTHS[ARGV[at + 2]]
end
for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do results[tonumber(ARGV[i])] = ARGV[i + 1] end
for i = at + 2 * tonumber(ARGV[at]) + 1, #ARGV, 6 do
  put(follow, tonumber(ARGV[i]), i + 1)
  ids[#ids + 1] = ARGV[i + 1]
end
fetch(ids)

local function refund(r, cause)
  if cause ~= '' then r[FAULTS + cause - 1] = r[FAULTS + cause - 1] + 1 end
end

local function move(r, lane) -- to another lane, as if new there; nowhere if it is its own
  local type_ = line(r[LINE]).type
  local n = line_of(#type_ .. ':' .. type_ .. lane)
  if n ~= r[LINE] then r[LINE], r[RANK] = n, 0 end
end

local function again(r, outcome, when)
  if outcome ~= '' then r[OUTCOME] = outcome end
  r[TIMEOUT_AT], r[RUN_AT] = 0, due(when)
end

local APPLY = {
  succeed = function(r, i)
    r[OUTCOME] = ARGV[starts[i] + 4]
    if results[i] then pair(born, P .. 'r:' .. r[ID], results[i]) end
    finish(r, SUCCEEDED)
    note(r, EVENT.succeeded, ARGV[starts[i] + 3])
  end,
  bury = function(r, i)
    r[OUTCOME] = ARGV[starts[i] + 4]
    refund(r, ARGV[starts[i] + 5])
    finish(r, FAILED)
    note(r, EVENT.failed, ARGV[starts[i] + 3])
  end,
  cancel = function(r, i)
    finish(r, CANCELLED)
    note(r, EVENT.cancelled, ARGV[starts[i] + 3])
  end,
  retry = function(r, i)
    again(r, ARGV[starts[i] + 4], ARGV[starts[i] + 5])
    note(r, EVENT.retried, ARGV[starts[i] + 3])
    queue(r)
  end,
  defer = function(r, i)
    again(r, ARGV[starts[i] + 4], ARGV[starts[i] + 5])
    refund(r, ARGV[starts[i] + 6])
    if ARGV[starts[i] + 7] ~= '' then move(r, ARGV[starts[i] + 7]) end
    note(r, EVENT.deferred, ARGV[starts[i] + 3])
    queue(r)
  end,
}

-- Most runs succeed at once, with nothing to tell: such a record is put together from what it has. Its life is taken
-- apart in three: the numbers, which many of a batch share, the token, and the texts, which they share, too.
local DONE, NO_RANK = pack('<BBB', 2, SUCCEEDED, 0), ('\0'):rep(8)
local NOTHING = ('\0'):rep(13) -- from PROGRESS to ERAS
local NO_OUTCOME = ('\0'):rep(4) .. NOTHING
local lives, tails = {}, {} -- what is known of them, by themselves; false where the run is not as plain
local succeeded = {} -- how many, by line

local function numbers_of(told, kept) -- from REASON to the sizes of OUTCOME and PROGRESS
  local reason, steps_, runs, faults, crashes, interruptions, base, started_at, _, timeout_at, cancel_at, dismissed_at,
    _, outcome, progress = unpack_from('<BI4I4I4I4I4I4i8i8i8i8i8i8I4I4', told)
  if reason ~= 0 or cancel_at ~= 0 or outcome ~= 0 or progress ~= 0 then return false end
  local prune_at = math.min(now + math.max(kept, LEAST_KEPT), LATEST)
  local ended = pack('<BI4I4I4I4I4I4i8i8i8i8i8i8', 0, steps_ + 1, runs, faults, crashes, interruptions, base,
    started_at, now, timeout_at, 0, dismissed_at, prune_at)
  local entry = pack('<i8BI4I2', now, EVENT.succeeded, runs, 0)
  return {kept = kept, ended = ended, prune_at = prune_at, entry = entry, step = pack('<I4', steps_ + 1) .. entry}
end

local function texts_after(told) -- what follows the token
  local owner, _, eras, settled_by, cancelled_by, revived_by, history = unpack_from('<I2c0I2c0I4c0BBB', told)
  if settled_by + cancelled_by + revived_by > 0 or #told - history > LONG_HISTORY - 16 then return false end
  return {held = 'held:' .. owner, places = places(eras), after = '\0\0' .. told:sub(history)}
end

local function known(cache, told, find, more)
  local found = cache[told]
  if found == nil or found and found.kept ~= more then
    found = find(told, more)
    cache[told] = found
  end
  return found
end

local function succeed(i, token) -- false where the run is not as plain
  local id = ids[i]
  local s = raw[id]
  if not s or s:byte(2) ~= RUNNING or ARGV[starts[i] + 3] ~= '' then return false end
  local kept, _, _, size, user = unpack_from('<i8i8i8I4I2', s, 70)
  local at = 98 + size
  local texts_at, held_by = at + 82 + #token, char(#token) .. token
  if s:sub(at + 81, texts_at - 1) ~= held_by then return false end
  local life, tail = known(lives, s:sub(at, at + 80), numbers_of, kept), known(tails, s:sub(texts_at), texts_after)
  if not life or not tail then return false end

  local seq_, n = unpack_from('<I8I4', s, 4)
  local m, outcome, key = format('%014d', seq_) .. id, ARGV[starts[i] + 4], unpack_from('<I2c0', s, 100 + user)
  outcome = outcome == '' and NO_OUTCOME or pack('<I4', #outcome) .. outcome .. NOTHING
  raw[id] = DONE .. s:sub(4, 19) .. NO_RANK .. s:sub(28, at - 1) .. life.ended .. outcome .. held_by .. tail.after
    .. life.entry
  pair(born, P .. 'j:' .. id, raw[id])
  if results[i] then pair(born, P .. 'r:' .. id, results[i]) end
  put(unmarks, tail.held, id)
  untime(m)
  zrem('leases', m)
  for _, place in ipairs(tail.places) do count('running', place, -1) end
  zadd('ending', life.prune_at, m)
  if key ~= '' then zadd('forget', math.max(now + KEY_KEPT, life.prune_at), key) end
  succeeded[n] = (succeeded[n] or 0) + 1
  ring('job:' .. id)
  step(id, life.step)
  return true
end

local function settle(i, token, how)
  local r = record(ids[i])
  if not r or r[TOKEN] ~= token then return r and r[SETTLED_BY] == token and 'applied' or 'lost' end
  if r[CANCEL_AT] ~= 0 and how ~= 'cancel' then return 'cancelling' end
  release(r)
  r[SETTLED_BY] = token
  APPLY[how](r, i)
  return 'applied', true
end

local function follow_up(job)
  local id = ARGV[job]
  if followed[id] or record(id) then return end
  followed[id] = true
  accept(job, texts_of(ARGV[job + 3]))
end

for i = 1, number do
  local token, how, ended = ARGV[starts[i] + 1], ARGV[starts[i] + 2], false
  if token == '' or #token > 255 then
    answers[i] = 'lost'
  elseif how == 'succeed' and succeed(i, token) then
    answers[i], ended = 'applied', true
  else
    answers[i], ended = settle(i, token, how)
  end
  if ended then
    for _, job in ipairs(follow[i] or {}) do follow_up(job) end
  end
end
for n, many in pairs(succeeded) do
  tally(n, 'running', -many)
  tally(n, 'succeeded', many)
end
if stale then return {'lines'} end
commit()
tell_lines(answers)
return answers
