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

-- Deletes up to so many of them; returns how many are left, and how many journals of calls it has deleted.
local function drop_ended(session, most)
  local list = session .. ':ended'
  local journals = 0
  for _, name in ipairs(redis.call('ZRANGE', list, 0, most - 1)) do
    local key = session .. ':' .. name
    local deleted = redis.call('UNLINK', key)
    redis.call('UNLINK', key .. ':in')
    if string.sub(name, 1, 5) == 'call:' then
      journals = journals + deleted
    end
  end
  redis.call('ZREMRANGEBYRANK', list, 0, most - 1)
  return redis.call('ZCARD', list), journals
end
