-- What the verbs' scripts share: here the keys and the record of a job, in writing.lua what is to be written, in
-- steps.lua the steps of a job, in gates.lua what lines may give. A verb gets what it uses of them, see linking.py.
--
-- KEYS[1] is the prefix of all keys; they share its hash tag, so its slot. ARGV[1] is the present in microseconds,
-- or "" where the server's own clock decides. A verb reads and checks first; what it writes is collected here, and
-- written by `commit()`, which it calls at its end. Instants and durations are whole microseconds, 0 where there is
-- none; ranks are whole 1/512ths. Every number that becomes a key, a member or an answer goes through `digits`.
--
-- A job is one string, `j:<id>`, read by `load` and `read`, written by `save`. Its parts, in this order:
--   a fixed head (HEAD), the submitter's constant part (STATIC), and, once it was touched, its life (LIFE, then the
--   history to the end). `form` says whether there is a life. STATIC is the client's but for its first three texts:
--   user, key (the field of `keys` that stands for the job, "" without one) and fingerprint, see `static`.
--   OUTCOME (error, or what a success left), PROGRESS and the rest of STATIC (codec.py) are opaque here, as is ERAS,
--   but for `release`: MessagePack [gate, era, limited, ...]. A history entry is at, event, run and a note (`note`);
--   the first, "submitted at created_at", is not written. Only `settle`, `cancel` etc. know what a step means.
--   `b:<id>` the payload, where it is large (flag PAYLOAD_APART)   `r:<id>` the result, where there is one
--   `h:<id>` the older part of a long history
-- Numbered lines (`lines`: number -> name; `line_of`: name -> number; a name is the length of the type, ":", the type,
--   and the lane as JSON [queue, upstream, [parent ...]]):
--   `line:<n>`   HASH waiting ready running succeeded dead failed cancelled (counts), reached (V), turn (the last), life
--   `ready:<n>`  ZSET rank of those in line      `flows:<n>` ZSET "<priority>:<user>" -> the highest rank given
--   `turns:<queue>` ZSET of lines with somebody in `ready`, by their last turn       `turn` the newest turn
-- Members of these ZSETs are `member(r)`: 14 digits of seq, then the id; so equal scores go by seq:
--   `due` run_at, queued and not in line     `standing` run_at, in line (also when lapsed)
--   `expiring` expires_at, queued            `lapsed` expires_at, queued, seen to be past it: out of line
--   `leases` end of the lease                `timeouts` timeout_at of claimed runs whose lease outlives it, and that
--                                            no reaper has taken
--   `ending` prune_at, finished
-- Members of these are ids:
--   `all`, `user:<user>` (not for ""), `status:failed`, `status:cancelled` ZSET by seq
--   `held:<owner>` SET leased; `owners` SET of such owners; `cancelling:<owner>` SET leased with a cancel requested
-- Others:
--   `keys` HASH key -> 1 byte length of the id, the id, the fingerprint;  `forget` ZSET key -> when, once it ended
--   `gate:<name>` HASH not_before most period burst era paced (until)     `running` HASH "<era>:<gate>" -> leases
--   `nonces` ZSET nonce -> until      `seq`, `version` counters     `life` of the store: another one's
--     lines have other numbers
--   `feed` STREAM, field s: up to 100 steps: 1 byte length of the id, the id, its number (4 bytes), history entry
local P, call, pack, unpack_from, format = KEYS[1], redis.call, struct.pack, struct.unpack, string.format
local char = string.char

local now = tonumber(ARGV[1])
if not now then
  local t = call('TIME')
  now = t[1] * 1000000 + t[2]
end

local function digits(n) return format('%d', n) end

-- the record -------------------------------------------------------------------------------------------------------

-- For those who do not read all of it, where things stand, bytes from 1 on: STATUS 2, SEQ 4, LINE 12, RANK 20,
-- RUN_AT 28, PRIORITY 52, FLAGS 53, EXPIRES_AT 54, TIMEOUT 62, KEPT 70, the size of STATIC 94, STATIC 98, then LIFE:
-- 81 bytes of numbers up to the size of PROGRESS, and where both OUTCOME and PROGRESS are empty TOKEN follows.
local HEAD = '<BBBI8I4I4I8i8i8i8' .. 'BBi8i8i8i8i8'
local LIFE = 'BI4I4I4I4I4I4' .. 'i8i8i8i8i8i8' .. 'I4c0I4c0Bc0I2c0I2c0I4c0Bc0Bc0Bc0'
local WHOLE = HEAD .. 'I4c0' .. LIFE
local FORM, STATUS, STAGE, SEQ, LINE, FIRST_LINE, RANK, RUN_AT, DUE_AT, CREATED_AT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local PRIORITY, FLAGS, EXPIRES_AT, TIMEOUT, KEPT, STATIC = 11, 12, 13, 14, 15, 18 -- KEPT: three, by how it ended
local REASON, STEPS, RUNS, FAULTS, CRASHES, INTERRUPTIONS, BASE = 19, 20, 21, 22, 23, 24, 25
local STARTED_AT, FINISHED_AT, TIMEOUT_AT, CANCEL_AT, DISMISSED_AT, PRUNE_AT = 26, 27, 28, 29, 30, 31
local OUTCOME, PROGRESS, TOKEN, OWNER, FORMER, ERAS = 32, 33, 34, 35, 36, 37
local SETTLED_BY, CANCELLED_BY, REVIVED_BY, HISTORY, ID, MEMBER, VALUE = 38, 39, 40, 41, 42, 43, 44

local QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = 0, 1, 2, 3, 4 -- STATUS
local WAITING, IN_LINE, LAPSED_IN_LINE, LAPSED_WAITING = 0, 1, 2, 3 -- STAGE, while queued
local EXPIRED, OVERDUE, WAITED = 1, 2, 3 -- REASON, while a reaper holds it
local PAYLOAD_APART = 1 -- FLAGS
local EVENT = {submitted = 1, claimed = 2, reclaimed = 3, succeeded = 4, retried = 5, deferred = 6, failed = 7,
  cancel_requested = 8, cancelled = 9, revived = 10, dismissed = 11}
local ENDED = {[SUCCEEDED] = 'succeeded', [FAILED] = 'failed', [CANCELLED] = 'cancelled'}
local LEAST_KEPT, KEY_KEPT = 600000000, 86400000000 -- core.steps.SHORTEST_KEPT, core.idempotency.TTL_AFTER_END
local LATEST = 253402300799999968 -- the last instant that Python can read back, as a double
local NONCE_KEPT = 300000000 -- a nonce is remembered this long at least: longer than anybody repeats a call
local LONG_HISTORY = 1024 -- bytes kept in the record
local MOST = 4000 -- values of one command: `unpack` has a stack of some 8,000

local newborn -- the life of a record that has none
local jobs = {} -- every record read by this script, by id; false where there is none
local raw = {} -- those that `fetch` got and nobody read yet

local function read(id, s)
  local fresh = s:byte() == 1
  if fresh then
    newborn = newborn or pack('<' .. LIFE, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, '', 0, '', 0, '', 0, '', 0,
      '', 0, '', 0, '', 0, '')
  end
  local r = {unpack_from(WHOLE, fresh and s .. newborn or s)}
  r[HISTORY], r[ID], r[MEMBER] = fresh and '' or s:sub(r[HISTORY]), id, false
  jobs[id], raw[id] = r, nil
  return r
end

local function fetch(ids)
  for first = 1, #ids, MOST do
    local keys, last = {}, math.min(first + MOST - 1, #ids)
    for i = first, last do keys[i - first + 1] = P .. 'j:' .. ids[i] end
    for i, s in ipairs(call('MGET', unpack(keys))) do raw[ids[first + i - 1]] = s end
  end
end

local function load(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if jobs[id] == nil and raw[id] == nil then missing[#missing + 1] = id end
  end
  fetch(missing)
  for _, id in ipairs(ids) do
    if jobs[id] == nil then jobs[id] = raw[id] and read(id, raw[id]) end
  end
end

local function record(id) -- one job, or false
  if jobs[id] == nil then load({id}) end
  return jobs[id]
end

local function member(r)
  local m = r[MEMBER]
  if not m then
    m = format('%014d', r[SEQ]) .. r[ID]
    r[MEMBER] = m
  end
  return m
end

local function id_of(m) return m:sub(15) end

local function static(r) return unpack_from('<I2c0I2c0I2c0', r[STATIC]) end -- user, key, fingerprint

local function encoded(r)
  r[FORM] = 2
  local a, b, c, d, e, f, g, h, i, j = r[STATIC], unpack(r, OUTCOME, REVIVED_BY)
  return pack(HEAD, unpack(r, 1, STATIC - 1)) .. pack('<I4', #a) .. a
    .. pack('<BI4I4I4I4I4I4i8i8i8i8i8i8', unpack(r, REASON, PRUNE_AT))
    .. pack('<I4c0I4c0Bc0I2c0I2c0I4c0Bc0Bc0Bc0', #b, b, #c, c, #d, d, #e, e, #f, f, #g, g, #h, h, #i, i, #j, j)
    .. r[HISTORY]
end
