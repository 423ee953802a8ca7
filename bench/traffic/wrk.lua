-- wrk --script wrk.lua URL -- FILE; FILE holds lines "<signature> <body>", sent one after the other.
-- The last line that it prints is JSON: requests, duration_us, p50_us, p99_us, errors.
local bodies, signatures, next_body = {}, {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local cut = line:find(" ", 1, true)
    signatures[#signatures + 1] = "sha256=" .. line:sub(1, cut - 1)
    bodies[#bodies + 1] = line:sub(cut + 1)
  end
end

function request()
  next_body = next_body % #bodies + 1
  local headers = { ["Content-Type"] = "application/json", ["X-Hub-Signature-256"] = signatures[next_body] }
  return wrk.format("POST", nil, headers, bodies[next_body])
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
