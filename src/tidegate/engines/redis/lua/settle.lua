-- flags: allow-oom
-- Ends runs, each with its follow-up jobs. ARGV: the number of endings; for each id, token, how, note, and for
--   "succeed" the outcome          "retry" the outcome, when            "defer" the outcome ("" keeps the error), when,
--   "bury" the outcome, refund     "cancel" nothing more                refund, lane as JSON ("" for its own);
-- then the number of large results, and for each the number of its ending and the result; then for each follow-up job
-- the number of its ending, and the job as for submit. A refund is "", 1 upstream fault, 2 crash or 3 interruption.
-- Answers for each "applied", "cancelling" or "lost"; then name and number of lines the caller had no number for.
local WIDTHS = {succeed = 5, retry = 6, defer = 8, bury = 6, cancel = 4}
local number, starts, ids, answers, results, follow, followed = tonumber(ARGV[2]), {}, {}, {}, {}, {}, {}
local at = 3
for i = 1, number do
  starts[i], ids[i] = at, ARGV[at]
  at = at + WIDTHS[ARGV[at + 2]]
end
for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do results[tonumber(ARGV[i])] = ARGV[i + 1] end
for i = at + 2 * tonumber(ARGV[at]) + 1, #ARGV, 6 do
  put(follow, tonumber(ARGV[i]), i + 1)
  ids[#ids + 1] = ARGV[i + 1]
end
load(ids)

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

for i = 1, number do
  local r, token, how = jobs[ids[i]], ARGV[starts[i] + 1], ARGV[starts[i] + 2]
  if not r or r[TOKEN] ~= token or token == '' then
    answers[i] = r and token ~= '' and r[SETTLED_BY] == token and 'applied' or 'lost'
  elseif r[CANCEL_AT] ~= 0 and how ~= 'cancel' then
    answers[i] = 'cancelling'
  else
    answers[i] = 'applied'
    release(r)
    r[SETTLED_BY] = token
    APPLY[how](r, i)
    for _, job in ipairs(follow[i] or {}) do
      local id = ARGV[job]
      if not jobs[id] and not followed[id] then
        followed[id] = true
        accept(job, texts_of(ARGV[job + 3]))
      end
    end
  end
end
commit()
for _, told in ipairs(learned) do answers[#answers + 1] = told end
return answers
