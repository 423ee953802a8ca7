-- awaited(KEYS = journal:index; ARGV = settle ms) → the first delivery that is about to be stored, or ''
-- Keys read: journal:index. What is in the journal and younger than settle ms may bring an earlier event of a lane.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local since = string.format('(%d', now_ms - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf', 'LIMIT', 0, 1)[1] or ''
