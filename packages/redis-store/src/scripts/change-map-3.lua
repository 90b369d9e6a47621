-- Changes a sorted map, once for each mark.
-- KEYS  keys of the map, its values, its marks
-- ARGV  mark or '', what it was named before or '', ms to remember it, count of entries to set, key and value of each, keys to remove...
-- Returns 'applied' or 'repeated'.
if ARGV[1] ~= '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  if redis.call('ZSCORE', KEYS[3], ARGV[1]) or redis.call('ZSCORE', KEYS[3], ARGV[2]) then
    return 'repeated'
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[3]))
  redis.call('ZADD', KEYS[3], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
local set = tonumber(ARGV[4])
for i = 1, set do
  redis.call('ZADD', KEYS[1], 0, ARGV[3 + 2 * i])
  redis.call('HSET', KEYS[2], ARGV[3 + 2 * i], ARGV[4 + 2 * i])
end
for i = 5 + 2 * set, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
return 'applied'
