-- claim_release_lost(KEYS = claimed:<worker>; ARGV = pool process, its beat, claim, token, claim, token, ...)
--       → how many claims were released, or -1 if the process has given a sign of life since its beat was read
-- Keys written: claimed:<worker> without these claims and the beat; each claim that is still its token's is deleted.
local beat = 'beat:' .. ARGV[1]
if (redis.call('HGET', KEYS[1], beat) or '') ~= ARGV[2] then
  return -1
end
local released = 0
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] .. ':' .. ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    if redis.call('GET', ARGV[i]) == ARGV[i + 1] then
      released = released + redis.call('DEL', ARGV[i])
    end
  end
end
redis.call('HDEL', KEYS[1], beat)
return released
