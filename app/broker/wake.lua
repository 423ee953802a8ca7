-- wake(KEYS = lanes:woken..., conversations...; ARGV = push, lane, message, lane, message, ...) → how many were enqueued
-- Keys written: lanes:woken... (lane → now, ms), conversations... (the queue's list: newest at the left by LPUSH, before
-- all others by RPUSH). A lane whose wake still waits in the queue is not enqueued again.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local enqueued = 0
for i = 2, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'NX', now_ms, ARGV[i]) == 1 then
    redis.call(ARGV[1], KEYS[2], ARGV[i + 1])
    enqueued = enqueued + 1
  end
end
return enqueued
