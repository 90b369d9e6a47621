-- Values of a sorted map.
-- KEYS  values of the map
-- ARGV  keys...
-- Returns a value, or nil, for each key.
local reply = {}
for i = 1, #ARGV do
  reply[i] = redis.call('HGET', KEYS[1], ARGV[i])
end
return reply
