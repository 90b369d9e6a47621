-- Values are fields 'k:<key>' with '<version> <data>'; 'v' counts up for all, so that no version comes twice, and 'b' is how
-- many bytes keys and values have. The session says how often any of them has changed: 'u'.
local function version_of(state, key)
  local value = redis.call('HGET', state, 'k:' .. key)
  return value and tonumber(string.match(value, '^%d+')) or 0
end

local function size_of(state, key)
  local value = redis.call('HGET', state, 'k:' .. key)
  return value and #key + #value - string.find(value, ' ', 1, true) or 0
end

local function change_value(session, state, key, how, data)
  redis.call('HINCRBY', session, 'u', 1)
  local before = size_of(state, key)
  if how == 'delete' then
    redis.call('HDEL', state, 'k:' .. key)
    redis.call('HINCRBY', state, 'b', -before)
    return 0
  end
  local version = redis.call('HINCRBY', state, 'v', 1)
  redis.call('HSET', state, 'k:' .. key, version .. ' ' .. data)
  redis.call('HINCRBY', state, 'b', #key + #data - before)
  redis.call('PEXPIRE', state, redis.call('PTTL', session))
  return version
end
