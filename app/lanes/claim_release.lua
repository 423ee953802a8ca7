-- claim_release(KEYS = claim:...; ARGV = the token of each) → how many claims were released
-- Keys written: the claims that are still their token's are deleted; somebody else's are left alone.
local released = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i] then
    released = released + redis.call('DEL', KEYS[i])
  end
end
return released
