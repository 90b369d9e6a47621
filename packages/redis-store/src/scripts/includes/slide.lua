-- A key expires in the same millisecond as its session, whose expiry may not just have been set.
local function expire_with(session, key)
  local at = redis.pcall('PEXPIRETIME', session)
  if type(at) == 'table' then
    -- A server before 7.0 tells how long it has left only: the millisecond may be the next one.
    local clock = redis.call('TIME')
    at = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + redis.call('PTTL', session))
  end
  redis.call('PEXPIREAT', key, at)
end

-- Slides the expiry of a session and of what lives as long as it does. 1 when that was due.
-- A twentieth may be missing, so that a busy session is not one write per request. The expiry of a call without a session
-- comes no nearer: it may be a task, or sleep for longer.
local function slide(session, out, state, ttl)
  local left = redis.call('PTTL', session)
  if left > ttl - ttl / 20 and (left <= ttl or redis.call('HGET', session, 'v') == '0') then
    return 0
  end
  redis.call('PEXPIRE', session, ttl)
  expire_with(session, out)
  expire_with(session, state)
  return 1
end
