-- Slides the expiry of a scope that holds values alone.
-- KEYS  session, state, marks
-- ARGV  principal
-- Returns the ms it lives from now on, or nil when there is no such scope of this principal.
-- include: scope
local scope = redis.call('HMGET', KEYS[1], 'p', 't')
if scope[1] ~= ARGV[1] or not scope[2] then
  return false
end
use_scope(KEYS[1], KEYS[2], KEYS[3])
return scope[2]
