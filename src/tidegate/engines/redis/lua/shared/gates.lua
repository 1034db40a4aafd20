-- Gates, each read once by a script, and what they admit; `running` is what `g.most` counts.
local PLENTY = 2 ^ 60
local gates = {} -- by name; false where there is none

-- What a clock that was set back, or a slower pace, left ahead of a whole burst shuts no gate for longer than that.
local function calm(g)
  if not (g and g.period and g.paced and g.paced > now + g.burst * g.period) then return end
  g.paced = now + g.burst * g.period
  call('HSET', P .. 'gate:' .. g.name, 'paced', digits(g.paced))
end

local function gate(name)
  local g = gates[name]
  if g == nil then
    local told = call('HMGET', P .. 'gate:' .. name, 'not_before', 'most', 'period', 'burst', 'era', 'paced')
    g = told[5] and {name = name, not_before = tonumber(told[1]), most = tonumber(told[2]), period = tonumber(told[3]),
      burst = tonumber(told[4]), era = tonumber(told[5]), paced = tonumber(told[6])} or false
    if g and g.most then g.running = tonumber(call('HGET', P .. 'running', told[5] .. ':' .. name) or 0) end
    calm(g)
    gates[name] = g
  end
  return g
end

local function gates_of(l)
  if not l.gates then
    local names = {'queue:' .. l.queue}
    if l.upstream then
      names[2] = 'upstream:' .. l.upstream
      for i, parent in ipairs(l.parents) do names[2 + i] = 'upstream:' .. parent end
    end
    l.gates = {}
    for _, name in ipairs(names) do
      local g = gate(name)
      if g then l.gates[#l.gates + 1] = g end
    end
  end
  return l.gates
end

local function admits(g)
  if g.not_before and g.not_before > now then return 0 end
  local room = g.most and g.most - g.running or PLENTY
  if g.period then
    local ahead = math.max(g.paced or now, now) - now
    room = math.min(room, math.floor((g.burst * g.period - ahead) / g.period))
  end
  return room
end

local function opens_at(l) -- nil at a gate's limit: that opens by a settle, at no instant that is known now
  local opens = now
  for _, g in ipairs(gates_of(l)) do
    if g.most and g.most <= g.running then return nil end
    opens = math.max(opens, g.not_before or opens)
    if g.period and g.paced then opens = math.max(opens, g.paced - (g.burst - 1) * g.period) end
  end
  return opens
end
