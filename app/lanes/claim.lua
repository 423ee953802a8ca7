-- claim(KEYS = journal:index, claimed:<worker>, claim:..., ...; ARGV = lease ms, settle ms, pool process, ms that
--       claimed:<worker> is kept, then for each claim: token, delivery id, number of its keys)
--       → the awaited delivery or '', for each claim 'claimed' | 'claimed_elsewhere' | 'awaiting_earlier'
-- Keys read: journal:index. Keys written: the claims (token, with a lease), of each all of its keys or none;
-- claimed:<worker> (claim → pool process:token), which says what is to be released when that process dies.
--
-- 'awaiting_earlier': a delivery accepted before the given one is still in the journal and younger than settle ms, so
-- an earlier event of the lane may be about to be stored. Delivery ids are UUIDv7: their text sorts by time.
-- 'claimed_elsewhere': another worker has one of the keys. A lease that is longer than ours was taken before this clock
-- was set back, and would outlive its worker by as much: it is cut.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local awaited_since = string.format('(%d', now_ms - tonumber(ARGV[2]))
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], awaited_since, '+inf', 'LIMIT', 0, 1)[1]
local held = {}

local function take(token, delivery, first, last)
  if oldest and oldest < delivery then
    return 'awaiting_earlier'
  end
  for i = first, last do
    local left = redis.call('PTTL', KEYS[i])
    if left > tonumber(ARGV[1]) then
      redis.call('PEXPIRE', KEYS[i], ARGV[1])
    end
    if left ~= -2 then
      return 'claimed_elsewhere'
    end
  end
  for i = first, last do
    redis.call('SET', KEYS[i], token, 'NX', 'PX', ARGV[1])
    held[#held + 1] = KEYS[i]
    held[#held + 1] = ARGV[3] .. ':' .. token
  end
  return 'claimed'
end

local results, first = { oldest or '' }, 3
for i = 5, #ARGV, 3 do
  local last = first + tonumber(ARGV[i + 2]) - 1
  results[#results + 1] = take(ARGV[i], ARGV[i + 1], first, last)
  first = last + 1
end
if #held > 0 then
  redis.call('HSET', KEYS[2], unpack(held))
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return results
