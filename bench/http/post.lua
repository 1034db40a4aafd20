-- POST one job again and again. Where REQUESTS_A_USER is set, each user sends so many, and then another one comes.

local each = tonumber(os.getenv("REQUESTS_A_USER") or "0")
local users = os.getenv("USERS") or "ada"
local sent = 0

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-User-ID"] = users
wrk.body = '{"type":"order","payload":{"order":17,"customer":"ada@example.com",'
  .. '"items":["pencil, soft","paper, 500 sheets","ink, blue","a ruler of 30 cm"],"total":41.5},"tags":["shop"]}'

if each > 0 then
  function request()
    wrk.headers["X-User-ID"] = users .. "-" .. math.floor(sent / each)
    sent = sent + 1
    return wrk.format()
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  local figures = '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n'
  io.write(figures:format(
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status, broken
  ))
end
