-- scan: documents of a kind past a key, by key.
-- flags: no-writes
-- ARGV: 2 kind, 3 the key, 4 the most. Returns key, version and value of each.
local kind, answers = ARGV[2], {}
for _, key in ipairs(call('ZRANGEBYLEX', P .. 'docs:' .. kind, '(' .. ARGV[3], '+', 'LIMIT', 0, ARGV[4])) do
  local stored = call('HMGET', P .. 'd:' .. #kind .. ':' .. kind .. ':' .. key, 'version', 'value')
  answers[#answers + 1] = key
  answers[#answers + 1] = stored[1]
  answers[#answers + 1] = stored[2]
end
return answers
