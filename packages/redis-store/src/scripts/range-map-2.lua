-- A page of a sorted map.
-- KEYS  keys of the map, its values
-- ARGV  'ZRANGEBYLEX' or 'ZREVRANGEBYLEX', first bound, last bound, most entries
-- Returns { key, value, ... }.
local reply = {}
for _, key in ipairs(redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  reply[#reply + 1] = key
  reply[#reply + 1] = redis.call('HGET', KEYS[2], key)
end
return reply
