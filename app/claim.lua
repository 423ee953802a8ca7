-- claim(KEYS = journal:index, claim:..., claim:...; ARGV = token, lease ms, delivery id, settle ms)
--   → 'claimed' | 'held' | 'settling'
-- Keys read: journal:index. Keys written: the claims (token, with a lease), all of them or none.
--
-- 'settling': a delivery accepted before the given one is still in the journal and younger than settle ms, so
-- an earlier event of the lane may be about to be stored. Delivery ids are UUIDv7: their text sorts by time.
-- 'held': somebody else has one of the claims.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local settling_since = string.format('(%d', now_ms - tonumber(ARGV[4]))
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], settling_since, '+inf', 'LIMIT', 0, 1)[1]
if oldest and oldest < ARGV[3] then
  return 'settling'
end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 'held'
  end
end
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[1], 'NX', 'PX', ARGV[2])
end
return 'claimed'
