-- wake_senders(KEYS = outbox:wake, outbox; ARGV = message, ms that a wake is believed to wait)
-- Keys written: outbox:wake, outbox (the queue's list, newest at the left).
-- One that lives longer was set before Redis's clock was set back
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then
  redis.call('LPUSH', KEYS[2], ARGV[1])
end
return 0
