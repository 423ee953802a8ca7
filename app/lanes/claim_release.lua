-- claim_release(KEYS = claimed:<worker>, claim:..., ...; ARGV = pool process, the token of each) → how many were released
-- Keys written: the claims that are still their token's are deleted, somebody else's are left alone;
-- claimed:<worker> without those of the pool process under these tokens.
local released, ended = 0, {}
for i = 2, #KEYS do
  local ours = redis.call('GET', KEYS[i]) == ARGV[i]
  if ours then
    released = released + redis.call('DEL', KEYS[i])
  end
  -- One that was lost may be held by another process of the same worker
  if ours or redis.call('HGET', KEYS[1], KEYS[i]) == ARGV[1] .. ':' .. ARGV[i] then
    ended[#ended + 1] = KEYS[i]
  end
end
if #ended > 0 then
  redis.call('HDEL', KEYS[1], unpack(ended))
end
return released
