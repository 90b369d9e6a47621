-- A page of a sorted map.
-- KEYS  keys of the map, its values
-- ARGV  'ZRANGEBYLEX' or 'ZREVRANGEBYLEX', first bound, last bound, most entries, most bytes or ''
-- Returns { key, value, ... }.
local reply = {}
local bytes = 0
local most = tonumber(ARGV[5])
for _, key in ipairs(redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  local value = redis.call('HGET', KEYS[2], key)
  reply[#reply + 1] = key
  reply[#reply + 1] = value
  bytes = bytes + #key + #(value or '')
  if most and bytes >= most then
    break
  end
end
return reply
