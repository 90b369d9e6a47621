-- Reads a whole session.
-- KEYS  session
-- Returns nil, or { principal, label, version, delivered, then key, version, data of each state entry }.
-- include: state
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd')
if not session[1] then
  return false
end
return collect_state(KEYS[1], 0, session)
