-- receive_wakes(KEYS = lanes:woken, conversations; ARGV = most, share, lane, ...) → more lanes, taken out of the queue
-- Keys written: lanes:woken (without these lanes), conversations (the queue's list, oldest at the right).
-- Takes at most `most` lanes, and at most one of `share` that wait. A message that is not a wake goes back.
if #ARGV > 2 then
  redis.call('ZREM', KEYS[1], unpack(ARGV, 3))
end
local count = math.min(tonumber(ARGV[1]), math.floor(redis.call('LLEN', KEYS[2]) / tonumber(ARGV[2])))
local lanes = {}
for _ = 1, count do
  local message = redis.call('RPOP', KEYS[2])
  local lane = string.match(message, '"argsrepr": "%((%d+),%)"')
  if not lane then
    redis.call('RPUSH', KEYS[2], message)
    break
  end
  lanes[#lanes + 1] = lane
end
if #lanes > 0 then
  redis.call('ZREM', KEYS[1], unpack(lanes))
end
return lanes
