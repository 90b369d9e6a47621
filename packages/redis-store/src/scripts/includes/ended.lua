-- What outlives the calls of a session is listed in '<session>:ended': what its key ends with, by when it goes. So it goes
-- with the session without a search.
local function list_ended(session, ms, name)
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local list = session .. ':ended'
  redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now))
  redis.call('ZADD', list, string.format('%.0f', now + ms), name)
  if redis.call('PTTL', list) < tonumber(ms) then
    redis.call('PEXPIRE', list, ms)
  end
end

-- Deletes up to so many of them; returns how many are left.
local function drop_ended(session, most)
  local list = session .. ':ended'
  for _, name in ipairs(redis.call('ZRANGE', list, 0, most - 1)) do
    local key = session .. ':' .. name
    redis.call('UNLINK', key, key .. ':in')
  end
  redis.call('ZREMRANGEBYRANK', list, 0, most - 1)
  return redis.call('ZCARD', list)
end
