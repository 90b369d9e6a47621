-- Forgets a node that is late and holds nothing any more.
-- KEYS  nodes, scopes of the node, what nodes say about themselves
-- ARGV  node, ms it must be late
-- Returns 1 when it was forgotten.
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if not beat or redis.call('SCARD', KEYS[2]) > 0 or now - tonumber(beat) < tonumber(ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
