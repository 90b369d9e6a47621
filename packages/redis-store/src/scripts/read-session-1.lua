-- Reads a whole session.
-- KEYS  session
-- Returns nil, or { principal, protocolVersion, version, delivered, changes of values, server, then key, version, data of each state entry }.
-- include: state
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd', 'u', 'm')
if not session[1] then
  return false
end
session[5] = session[5] or '0'
session[6] = session[6] or '-'
return collect_state(KEYS[1], 0, session)
