-- swap: replace a document iff its version is the expected one, together with the gates it implies.
-- flags:
-- ARGV: 2 kind, 3 key, 4 expected version, 5 nonce, 6 "1" where there is a value, 7 the value; then for each gate
--   name, not_before, most, period, burst (each "" for none), era. `document` of a gate is who set it.
-- Returns won ("1" or "0"), version, value or nil; or "refused", the gate's name, its era.
local kind, key, nonce = ARGV[2], ARGV[3], ARGV[5]
local document = 'd:' .. #kind .. ':' .. kind .. ':' .. key
local stored = call('HMGET', P .. document, 'version', 'value', 'nonce', 'gates')
local version = stored[1] or '0'
if stored[3] == nonce then return {'1', version, stored[2]} end
if tonumber(version) ~= tonumber(ARGV[4]) then return {'0', version, stored[2]} end

local gates, names = {}, {}
for i = 8, #ARGV, 6 do
  local name, most, era = ARGV[i], ARGV[i + 2], ARGV[i + 5]
  local known = call('HMGET', P .. 'gate:' .. name, 'era', 'most')
  if most ~= '' and not known[2] and tonumber(era) <= tonumber(known[1] or -1) then
    return {'refused', name, known[1] or '-1'}
  end
  if not gates[name] then names[#names + 1] = name end
  gates[name] = {'not_before', ARGV[i + 1], 'most', most, 'period', ARGV[i + 3], 'burst', ARGV[i + 4], 'era', era}
end

local paced = {}
for _, name in ipairs(stored[4] and cmsgpack.unpack(stored[4]) or {}) do
  local known = call('HMGET', P .. 'gate:' .. name, 'document', 'paced')
  if known[1] == document then paced[name] = known[2] or '' end
end

expect('ZCARD', 'docs:' .. kind, 'shut')
expect('STRLEN', 'version')

version = digits(call('INCR', P .. 'version'))
for name in pairs(paced) do
  call('DEL', P .. 'gate:' .. name)
  call('ZREM', P .. 'shut', name)
end
call('DEL', P .. document)
call('HSET', P .. document, 'version', version, 'nonce', nonce)
if #names > 0 then redis.pcall('PUBLISH', P .. 'hints', 'gates') end
if ARGV[6] ~= '1' then
  call('ZREM', P .. 'docs:' .. kind, key)
  return {'1', version, false}
end
call('HSET', P .. document, 'value', ARGV[7], 'gates', cmsgpack.pack(names))
call('ZADD', P .. 'docs:' .. kind, 0, key)
for name, fields in pairs(gates) do
  local row = {'document', document}
  for i = 1, #fields, 2 do
    if fields[i + 1] ~= '' then
      row[#row + 1] = fields[i]
      row[#row + 1] = fields[i + 1]
    end
  end
  if (paced[name] or '') ~= '' then
    row[#row + 1] = 'paced'
    row[#row + 1] = paced[name]
  end
  call('DEL', P .. 'gate:' .. name)
  call('HSET', P .. 'gate:' .. name, unpack(row))
  if fields[2] == '' then call('ZREM', P .. 'shut', name) else call('ZADD', P .. 'shut', fields[2], name) end
end
return {'1', version, ARGV[7]}
