-- Wakes the watchers of a scope.
-- KEYS  session, whose name is the channel's too
-- ARGV  topic and value
-- Returns how many connections heard it.
return redis.call('SPUBLISH', KEYS[1], ARGV[1])
