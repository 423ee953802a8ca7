-- receive_wakes(KEYS = lanes:woken, lanes:woken:urgent, lanes:woken:bulk, conversations, its list of bulk messages;
--               ARGV = most, share, most of bulk, lane, ...) → 1 if they are bulk, else 0; more lanes, taken out of the queue
-- Keys written: lanes:woken... (without these lanes), the two lists (oldest at the right).
-- Takes at most `most` lanes, and at most one of `share` that wait. A message that is not a wake goes back.
local function remove_wakes(first, from)
  for i = 1, 3 do
    redis.call('ZREM', KEYS[i], unpack(from, first))
  end
end

local function take(queue, count)
  local lanes = {}
  for _ = 1, math.min(tonumber(ARGV[1]), count) do
    local message = redis.call('RPOP', queue)
    local lane = string.match(message, '"argsrepr": "%((%d+),%)"')
    if not lane then
      redis.call('RPUSH', queue, message)
      break
    end
    lanes[#lanes + 1] = lane
  end
  return lanes
end

if #ARGV > 3 then
  remove_wakes(4, ARGV)
end
local waiting = redis.call('LLEN', KEYS[4])
local lanes, bulk = take(KEYS[4], math.floor(waiting / tonumber(ARGV[2]))), 0
if waiting == 0 and #ARGV == 3 then
  lanes, bulk = take(KEYS[5], math.min(redis.call('LLEN', KEYS[5]), tonumber(ARGV[3]))), 1
end
if #lanes > 0 then
  remove_wakes(1, lanes)
end
return { bulk, unpack(lanes) }
