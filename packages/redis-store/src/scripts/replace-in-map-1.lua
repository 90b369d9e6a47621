-- Sets a value of a sorted map where it is what it is thought to be.
-- KEYS  values of the map
-- ARGV  key, value that it has, value that it gets
-- Returns 1, or 0 when it has another one, or none.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
