-- A call whose turn has come waits no more; unless that was told again since, or has to come again.
-- KEYS  who waits, whose turn has come
-- ARGV  call, when its turn was told
local told_at = redis.call('ZSCORE', KEYS[2], ARGV[1])
if told_at and tonumber(told_at) == tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
