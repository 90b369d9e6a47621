-- What outlives the calls of a session is listed in '<session>:ended': what its key ends with, by when it goes. So it goes
-- with the session without a search. What has gone is taken out by one call in some twenty, and the list may last a twentieth
-- longer, so that not each call need write for that. Which one it is its id says, which is random, and chosen by no client.
local function list_ended(list, ms, name)
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('ZADD', list, string.format('%.0f', now + ms), name)
  if string.byte(name, -2) % 16 == 0 then
    redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now))
  end
  if redis.call('PTTL', list) < tonumber(ms) then
    redis.call('PEXPIRE', list, string.format('%.0f', ms * 1.05))
  end
end
