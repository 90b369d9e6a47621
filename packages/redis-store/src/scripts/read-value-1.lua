-- A value of session state.
-- KEYS  state
-- ARGV  key
-- Returns '<version> <data>', or nil.
return redis.call('HGET', KEYS[1], 'k:' .. ARGV[1])
