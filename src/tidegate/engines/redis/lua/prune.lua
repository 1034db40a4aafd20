-- prune: forget finished jobs past `prune_at`, oldest first; with them keys, nonces and grants that are over.
-- flags: allow-oom
-- ARGV: 2 the most jobs. Returns the ids of those forgotten.
local over = call('ZRANGEBYSCORE', P .. 'ending', '-inf', digits(now), 'LIMIT', 0, ARGV[2])
local ids, pruned = {}, {}
for i, m in ipairs(over) do ids[i] = id_of(m) end
load(ids)

local function past(key) return call('ZRANGEBYSCORE', P .. key, '-inf', digits(now), 'LIMIT', 0, 1000) end

-- A key outlives its job: it stays while the job is there, whatever the hour.
local old, keys = past('forget'), {}
for _, key in ipairs(old) do
  local told = call('HGET', P .. 'keys', key)
  local id = told and unpack_from('<Bc0', told)
  if not id or call('EXISTS', P .. 'j:' .. id) == 0 then keys[#keys + 1] = key else pruned[id] = key end
end

for i, id in ipairs(ids) do
  local r = jobs[id]
  zrem('ending', over[i])
  zrem('all', id)
  if r then
    local user, status = static(r), r[STATUS]
    if user ~= '' then zrem('user:' .. user, id) end
    if status ~= SUCCEEDED then zrem('status:' .. ENDED[status], id) end
    count('line:' .. r[LINE], status == FAILED and r[DISMISSED_AT] == 0 and 'dead' or ENDED[status], -1)
  end
  if pruned[id] then keys[#keys + 1] = pruned[id] end
  delete('j:' .. id)
  delete('b:' .. id)
  delete('r:' .. id)
  delete('h:' .. id)
end
for _, key in ipairs(keys) do zrem('forget', key) end
for _, nonce in ipairs(past('nonces')) do zrem('nonces', nonce) end
local grants, windows = past('granted'), past('windows')
for _, nonce in ipairs(grants) do zrem('granted', nonce) end
for _, key in ipairs(windows) do
  zrem('windows', key)
  delete('w:' .. key)
end
expect('HLEN', 'keys', 'grants', 'used')
commit()
if #keys > 0 then call('HDEL', P .. 'keys', unpack(keys)) end
if #grants > 0 then call('HDEL', P .. 'grants', unpack(grants)) end
if #windows > 0 then call('HDEL', P .. 'used', unpack(windows)) end
return ids
