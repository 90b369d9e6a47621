-- Removes a session from an index.
-- KEYS  index
-- ARGV  session id
-- Returns 1 when it was there.
return redis.call('ZREM', KEYS[1], ARGV[1])
