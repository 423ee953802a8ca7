-- drain(KEYS = webhooks; ARGV = mark, bytes) → how many messages are left, and those taken out, the oldest first
-- Keys written: webhooks (the queue's list, newest at the left).
-- Stops when so many bytes are taken; the last message may exceed them. Stops before a message without the mark: it
-- is another task's.
local taken, bytes = {}, 0
while bytes < tonumber(ARGV[2]) do
  local message = redis.call('LINDEX', KEYS[1], -1)
  if not message or not string.find(message, ARGV[1], 1, true) then
    break
  end
  redis.call('RPOP', KEYS[1])
  taken[#taken + 1] = message
  bytes = bytes + #message
end
return { redis.call('LLEN', KEYS[1]), taken }
