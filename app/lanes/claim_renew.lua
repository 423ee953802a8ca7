-- claim_renew(KEYS = claim:...; ARGV = lease ms, the token of each) → how many of the claims are still their token's
-- Keys written: the lease of those claims. A lease that ran out is not taken back: somebody else may have begun.
local held = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[i + 1] then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    held = held + 1
  end
end
return held
