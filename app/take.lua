-- take(KEYS = webhooks; ARGV = mark, share, bytes) → messages taken out of the queue, the oldest first
-- Keys written: webhooks (the queue's list, newest at the left).
-- At most this share of the messages that wait, so that others who take leave some for each other, and none after
-- so many bytes. It ends before a message without the mark: that one is not for who takes.
local most = math.floor(redis.call('LLEN', KEYS[1]) * tonumber(ARGV[2]))
local taken, bytes = {}, 0
while #taken < most and bytes < tonumber(ARGV[3]) do
  local message = redis.call('LINDEX', KEYS[1], -1)
  if not string.find(message, ARGV[1], 1, true) then
    break
  end
  redis.call('RPOP', KEYS[1])
  taken[#taken + 1] = message
  bytes = bytes + #message
end
return taken
