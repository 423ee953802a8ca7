-- unknown_handlers(KEYS = handlers:unknown; ARGV = keep ms, handler name...) → nothing
-- Keys written: handlers:unknown (zset: name → when a worker last met an event that is stored for it, Unix ms).
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], now_ms, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - tonumber(ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
