-- A scope that holds values alone has 't': for how many ms it lives after its last use.
local function begin_scope(session, state, principal, ttl)
  local whose = redis.call('HGET', session, 'p')
  if whose and whose ~= principal then
    return false
  end
  if not whose then
    local clock = redis.call('TIME')
    local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
    redis.call('HSET', session, 'p', principal, 'l', '', 'v', 0, 'd', '0-0', 'c', now)
    -- Versions go up even if it was there before, and has expired.
    redis.call('HSET', state, 'v', now)
  end
  redis.call('HSET', session, 't', ttl)
  return true
end

local function use_scope(session, state, marks)
  local ttl = redis.call('HGET', session, 't')
  if ttl then
    redis.call('PEXPIRE', session, ttl)
    redis.call('PEXPIRE', state, ttl)
    redis.call('PEXPIRE', marks, ttl)
  end
end
