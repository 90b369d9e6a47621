-- What opening a call and recording one that has ended have in common: they admit, and look whether the request is known.
-- Returns the session, 1 when the expiry moved, the first id of the call's own journal if it is there, and the call of
-- the same request if that is open or its key was kept.
local function admit_call(KEYS, principal, ttl, request_key)
  local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd', 'r:' .. request_key, 'e')
  if session[1] ~= principal then
    return nil
  end
  local moved = slide(KEYS[1], KEYS[2], tonumber(ttl))
  local mine = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
  if mine then
    return session, moved, mine[1]
  end
  local first = session[5]
  if first and has_journal(KEYS[1], first) then
    redis.call('HSET', KEYS[1], 'j:' .. first, 1)
    return session, moved, nil, first
  end
  local ended = session[6] and redis.call('GET', KEYS[1] .. ':ended:' .. request_key)
  if ended and has_journal(KEYS[1], ended) then
    return session, moved, nil, ended
  end
  return session, moved
end

local function new_epoch()
  local clock = redis.call('TIME')
  return string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
end
