-- accept(KEYS = journal, journal:index, webhooks; ARGV = message, id, body, id, body, ..., ms, id, ms, id, ...) → now, µs
-- Keys written: journal (id → body), journal:index (id → accept time, Unix ms), webhooks (the queue's list).
-- Everything at once; an answer comes after the write is on disk, where appendfsync is always.
local half = (#ARGV - 1) / 2
redis.call('HSET', KEYS[1], unpack(ARGV, 2, half + 1))
redis.call('ZADD', KEYS[2], unpack(ARGV, half + 2))
redis.call('LPUSH', KEYS[3], ARGV[1])
local now = redis.call('TIME')
return now[1] * 1000000 + now[2]
