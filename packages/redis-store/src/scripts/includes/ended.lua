-- What outlives the calls of a session is listed in '<session>:ended': what its key ends with, by when it goes. So it goes
-- with the session without a search. What has gone is taken out now and then, and the list may last a twentieth longer, so
-- that each call need not write for that.
local function list_ended(list, ms, name)
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('ZADD', list, string.format('%.0f', now + ms), name)
  if now % 16 == 0 then
    redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now))
  end
  if redis.call('PTTL', list) < tonumber(ms) then
    redis.call('PEXPIRE', list, string.format('%.0f', ms * 1.05))
  end
end
