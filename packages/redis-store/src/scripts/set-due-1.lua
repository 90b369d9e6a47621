-- Says when a call is to be claimed, or says it anew.
-- KEYS  calls by when they are due
-- ARGV  entry, ms since 1970, ms for which the list is kept at least
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
