-- What outlives the calls of a session is listed in '<session>:ended': what its key ends with, by when it goes. So it goes
-- with the session without a search.
local function list_ended(list, ms, name)
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now))
  redis.call('ZADD', list, string.format('%.0f', now + ms), name)
  if redis.call('PTTL', list) < tonumber(ms) then
    redis.call('PEXPIRE', list, ms)
  end
end
