-- Calls that are not to be claimed any more.
-- KEYS  calls by when they are due
-- ARGV  entries...
redis.call('ZREM', KEYS[1], unpack(ARGV))
