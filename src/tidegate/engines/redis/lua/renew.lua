-- flags: allow-oom
-- Keeps leases, and records progress. ARGV: lease_for; for each beat id, token, progress or "".
-- Answers for each "held", "cancelling" or "lost".
local ends, answers, ids = now + tonumber(ARGV[2]), {}, {}
for i = 3, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
load(ids)
for i = 3, #ARGV, 3 do
  local r, answer = jobs[ARGV[i]], 'lost'
  if r and r[TOKEN] == ARGV[i + 1] and r[TOKEN] ~= '' then
    zadd('leases', ends, member(r))
    if r[REASON] == 0 and r[TIMEOUT_AT] < ends then zadd('timeouts', r[TIMEOUT_AT], member(r)) end
    if ARGV[i + 2] ~= '' then
      r[PROGRESS] = ARGV[i + 2]
      save(r)
    end
    answer = r[CANCEL_AT] == 0 and 'held' or 'cancelling'
  end
  answers[#answers + 1] = answer
end
commit()
return answers
