-- Slides the expiry of a session and of what lives as long as it does. 1 when that was due.
-- A twentieth may be missing, so that a busy session is not one write per request.
local function slide(session, out, ttl)
  local left = redis.call('PTTL', session)
  if left <= ttl and left > ttl - ttl / 20 then
    return 0
  end
  redis.call('PEXPIRE', session, ttl)
  redis.call('PEXPIRE', out, ttl)
  redis.call('PEXPIRE', session .. ':state', ttl)
  return 1
end
