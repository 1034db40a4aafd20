-- flags: no-writes
-- What idempotency keys stand for. ARGV: fields of `keys`. Answers for each id and fingerprint, "" and "" for none.
local answers = {}
for _, told in ipairs(call('HMGET', P .. 'keys', unpack(ARGV, 2))) do
  local id, at = '', 1
  if told then id, at = unpack_from('<Bc0', told) end
  pair(answers, id, told and told:sub(at) or '')
end
return answers
