-- Replaces a state entry and gives it the next version.
-- KEYS  session, once
-- ARGV  key, data, nonce, most entries, ms to remember the nonce
-- Returns the version, 'unknown' or 'limit'.
-- include: state
-- include: wake
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'unknown'
end
local repeated = redis.call('GET', KEYS[2])
if repeated then
  return repeated
end
local field = 's:' .. ARGV[1]
local current = redis.call('HGET', KEYS[1], field)
if current then
  local version, nonce = decode_state(current)
  if nonce == ARGV[3] then
    return version
  end
else
  local entries = 0
  for _, other in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(other, 1, 2) == 's:' then
      entries = entries + 1
    end
  end
  if entries >= tonumber(ARGV[4]) then
    return 'limit'
  end
end
local version = redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('HSET', KEYS[1], field, encode_state(version, state_clock(), ARGV[3], ARGV[2]))
redis.call('SET', KEYS[2], version, 'PX', ARGV[5])
wake(KEYS[1], 'state ' .. version)
return version
