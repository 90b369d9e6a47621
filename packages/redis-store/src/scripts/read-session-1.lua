-- Reads a whole session.
-- KEYS  session
-- Returns nil, or { principal, protocolVersion, version, delivered, changes of values, then key, version, data of each state entry }.
-- include: state
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd', 'u')
if not session[1] then
  return false
end
session[5] = session[5] or '0'
return collect_state(KEYS[1], 0, session)
