-- Removes scopes from an index.
-- KEYS  index
-- ARGV  scopes...
-- Returns how many were there.
return redis.call('ZREM', KEYS[1], unpack(ARGV))
