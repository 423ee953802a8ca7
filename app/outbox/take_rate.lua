-- take_rate(KEYS = outbox:rate:<number>, outbox:pause:<number>, outbox:failures:<number>;
--           ARGV = sends a second, most at once, wanted, failures that open the breaker, probe's pause in ms,
--                 longest pause in ms)
--   → {granted, ms to wait when none is, failures in a row}
-- Keys written: outbox:rate (hash: tokens, at in ms), outbox:pause (of a probe).
-- A number that Meta throttled, or whose breaker is open, gets nothing until its pause ends; an open breaker then lets
-- one send pass as a probe.
local paused = redis.call('PTTL', KEYS[2])
local failures = tonumber(redis.call('GET', KEYS[3]) or 0)
if paused > tonumber(ARGV[6]) then
  paused = tonumber(ARGV[6])
  redis.call('PEXPIRE', KEYS[2], paused)
end
if paused > 0 then return {0, paused, failures} end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
if failures >= tonumber(ARGV[4]) then
  redis.call('SET', KEYS[2], 'probe', 'PX', ARGV[5])
  return {1, 0, failures}
end
local rate, most, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(known[1] or most)
local passed = math.max(0, now_ms - tonumber(known[2] or now_ms))
tokens = math.min(most, tokens + passed * rate / 1000)
local granted = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tokens - granted, 'at', now_ms)
redis.call('PEXPIRE', KEYS[1], 60000)
if granted > 0 then return {granted, 0, failures} end
return {0, math.ceil((1 - tokens) * 1000 / rate), failures}
