-- claim_renew(KEYS = claim:...; ARGV = token, lease ms) → how many of the claims are still the token's
-- Keys written: the lease of those claims. A lease that ran out is not taken back: somebody else may have begun.
local held = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
    held = held + 1
  end
end
return held
