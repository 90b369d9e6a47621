-- Checks the principal and the server of a session, and slides its expiry.
-- KEYS  session, out, state
-- ARGV  principal, ttl in ms, server
-- Returns nil, or { protocolVersion, version, delivered, changes of values, 1 when the expiry moved }.
-- include: slide
-- include: server
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd', 'u', 'm')
if session[1] ~= ARGV[1] or not is_of(session[6], ARGV[3]) then
  return false
end
return { session[2], session[3], session[4], session[5] or '0', slide(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2])) }
