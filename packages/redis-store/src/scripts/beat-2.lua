-- Says that a node lives.
-- KEYS  nodes, what they say about themselves
-- ARGV  node, ms after which the list is forgotten, 0 to say instead that the node leaves,
--       what the node says about itself or ''
-- Returns 1 when the node was known, and nobody has declared it dead.
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
local known = beat and tonumber(beat) > 0 and 1 or 0
if ARGV[2] == '0' then
  redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
  return known
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
-- The clock was set back since: who has died before would seem to live until it is there again.
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')) do
  redis.call('ZADD', KEYS[1], 'XX', now, node)
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return known
