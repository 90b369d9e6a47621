-- Creates the record of a session; an existing one stays as it is.
-- KEYS  session
-- ARGV  principal, protocolVersion, state key, state data, ttl in ms, server
-- Returns 'created', 'exists', or 'foreign' when it exists with another principal.
-- include: state
local principal = redis.call('HGET', KEYS[1], 'p')
if principal then
  return principal == ARGV[1] and 'exists' or 'foreign'
end
local now = state_clock()
redis.call('HSET', KEYS[1], 'p', ARGV[1], 'l', ARGV[2], 'v', 1, 'd', '0-0', 'c', now,
  's:' .. ARGV[3], encode_state(1, now, '', ARGV[4]))
if ARGV[6] ~= '-' then
  redis.call('HSET', KEYS[1], 'm', ARGV[6])
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 'created'
