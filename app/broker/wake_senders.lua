-- wake_senders(KEYS = outbox:wake, outbox; ARGV = message, ms that a wake is believed to wait)
-- Keys written: outbox:wake, outbox (the queue's list, newest at the left).
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then
  redis.call('LPUSH', KEYS[2], ARGV[1])
end
return 0
