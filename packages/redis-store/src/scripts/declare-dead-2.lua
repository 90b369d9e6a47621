-- Declares a node dead that is late: it counts as infinitely late from then on, and these scopes of it are released.
-- KEYS  nodes, scopes of the node
-- ARGV  node, ms it must be late, scopes...
-- Returns 1, or 0 when it has beaten within that time.
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if beat and now - tonumber(beat) < tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
for i = 3, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[i])
end
return 1
