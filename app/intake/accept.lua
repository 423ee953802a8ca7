-- accept(KEYS = journal, journal:index, webhooks; ARGV = message, id, body, id, body, ..., ms, id, ms, id, ...) → now, µs
-- Keys written: journal (id → body), journal:index (id → accept time, Unix ms), webhooks (the queue's list).
-- Everything at once; an answer comes after the write is on disk, where appendfsync is always.
-- Nothing is written, and now is negative, where the first id is more than a second off: this clock was set meanwhile.
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local half = (#ARGV - 1) / 2
if math.abs(now_us - ARGV[half + 2] * 1000) > 1000000 then
  return -now_us
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2, half + 1))
redis.call('ZADD', KEYS[2], unpack(ARGV, half + 2))
redis.call('LPUSH', KEYS[3], ARGV[1])
return now_us
