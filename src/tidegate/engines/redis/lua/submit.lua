-- flags:
-- Accepts jobs, each once: an id or an idempotency key seen before is told, and changes nothing.
-- ARGV: the life of the store that gave the lines' numbers; for each job id, line (its number or name), when, record,
-- large payload.
-- Answers for each job "" where it is new, "=" or "!" and the first job's id where it is known with the same or with
-- another fingerprint; then the life, name and number of the lines that were named. "lines" alone: numbers are not known.
local ids, asked, users, keys, prints = {}, {}, {}, {}, {}
local fields, known, answers = {}, {}, {}
for job = 3, #ARGV, 5 do
  local n = #ids + 1
  ids[n], asked[n] = ARGV[job], P .. 'j:' .. ARGV[job]
  users[n], keys[n], prints[n] = texts_of(ARGV[job + 3])
  if keys[n] ~= '' then fields[#fields + 1] = keys[n] end
end
if call('EXISTS', unpack(asked)) > 0 then
  load(ids)
  for _, id in ipairs(ids) do
    if jobs[id] then
      local _, _, fingerprint = static(jobs[id])
      known[id] = fingerprint
    end
  end
end
local firsts, first_prints = {}, {} -- by idempotency key
if #fields > 0 then
  for i, told in ipairs(call('HMGET', P .. 'keys', unpack(fields))) do
    if told then
      local first, at = unpack_from('<Bc0', told)
      firsts[fields[i]], first_prints[fields[i]] = first, told:sub(at)
    end
  end
end
for i, id in ipairs(ids) do
  local key, fingerprint = keys[i], prints[i]
  if known[id] then
    answers[i] = (known[id] == fingerprint and '=' or '!') .. id
  elseif firsts[key] then
    answers[i] = (first_prints[key] == fingerprint and '=' or '!') .. firsts[key]
  else
    answers[i], known[id] = '', fingerprint
    if key ~= '' then firsts[key], first_prints[key] = id, fingerprint end
    accept(5 * i - 2, users[i], key, fingerprint)
  end
end
if stale then return {'lines'} end
commit()
tell_lines(answers)
return answers
