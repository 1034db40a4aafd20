-- revive: queue failed and cancelled jobs again, as if new.
-- flags:
-- ARGV: 2 nonce, 3... ids. Returns a word for each id: unknown, revived or illegal.
local nonce, ids, answers = ARGV[2], {unpack(ARGV, 3)}, {}
load(ids)

local function revive(r)
  local id, status, m = r[ID], r[STATUS], member(r)
  local _, key = static(r)
  zrem('ending', m)
  zrem('status:' .. ENDED[status], id)
  if key ~= '' then zrem('forget', key) end
  count('line:' .. r[LINE], status == FAILED and r[DISMISSED_AT] == 0 and 'dead' or ENDED[status], -1)
  delete('r:' .. id)
  for field = FAULTS, INTERRUPTIONS do r[field] = 0 end
  for field = STARTED_AT, PRUNE_AT do r[field] = 0 end
  r[BASE], r[EXPIRES_AT], r[RANK], r[OUTCOME], r[PROGRESS] = r[RUNS], 0, 0, '', ''
  r[LINE], r[RUN_AT], r[DUE_AT], r[REVIVED_BY] = r[FIRST_LINE], now, now, nonce
  note(r, EVENT.revived)
  queue(r)
  ring('job:' .. id)
end

for i, id in ipairs(ids) do
  local r = jobs[id]
  if not r then
    answers[i] = 'unknown'
  elseif r[REVIVED_BY] == nonce then
    answers[i] = 'revived'
  elseif r[STATUS] == FAILED or r[STATUS] == CANCELLED then
    revive(r)
    answers[i] = 'revived'
  else
    answers[i] = 'illegal'
  end
end
commit()
return answers
