-- dismiss: take failed jobs off the dead letters.
-- flags: allow-oom
-- ARGV: 2... ids. Returns a word for each id: unknown, dismissed or illegal.
local ids, answers = {unpack(ARGV, 2)}, {}
load(ids)
for i, id in ipairs(ids) do
  local r = jobs[id]
  if not r then
    answers[i] = 'unknown'
  elseif r[STATUS] ~= FAILED then
    answers[i] = 'illegal'
  else
    if r[DISMISSED_AT] == 0 then
      r[DISMISSED_AT] = now
      count('line:' .. r[LINE], 'dead', -1)
      count('line:' .. r[LINE], 'failed', 1)
      note(r, EVENT.dismissed)
    end
    answers[i] = 'dismissed'
  end
end
commit()
return answers
