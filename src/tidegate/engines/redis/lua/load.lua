-- load: documents by key.
-- flags: no-writes
-- ARGV: 2 kind, 3... keys. Returns version and value for each; "0" and nil where there never was one.
local kind, answers = ARGV[2], {}
for i = 3, #ARGV do
  local stored = call('HMGET', P .. 'd:' .. #kind .. ':' .. kind .. ':' .. ARGV[i], 'version', 'value')
  answers[#answers + 1] = stored[1] or '0'
  answers[#answers + 1] = stored[2]
end
return answers
