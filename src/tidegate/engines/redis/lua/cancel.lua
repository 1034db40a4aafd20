-- cancel: end queued jobs as cancelled, and mark running ones.
-- flags: allow-oom
-- ARGV: 2 nonce, 3... ids. Returns a word for each id: unknown, cancelled, requested or finished.
local nonce, ids, answers = ARGV[2], {unpack(ARGV, 3)}, {}
load(ids)
for i, id in ipairs(ids) do
  local r = jobs[id]
  if not r then
    answers[i] = 'unknown'
  else
    if r[CANCELLED_BY] ~= nonce then
      if r[STATUS] == QUEUED then
        r[CANCELLED_BY] = nonce
        unqueue(r)
        finish(r, CANCELLED)
        note(r, EVENT.cancelled)
        ring('queue:' .. line(r[LINE]).queue)
      elseif r[STATUS] == RUNNING and r[CANCEL_AT] == 0 then
        r[CANCELLED_BY], r[CANCEL_AT] = nonce, now
        sadd('cancelling:' .. r[OWNER], id)
        note(r, EVENT.cancel_requested)
        ring('job:' .. id)
        ring('queue:' .. line(r[LINE]).queue)
      end
    end
    if r[STATUS] == RUNNING and r[CANCEL_AT] ~= 0 then
      answers[i] = 'requested'
    else
      answers[i] = r[CANCELLED_BY] == nonce and 'cancelled' or 'finished'
    end
  end
end
commit()
return answers
