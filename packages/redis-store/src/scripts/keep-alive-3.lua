-- Slides the expiry of a session, and of those of the named calls that are open.
-- KEYS  session, out, state, journal and inbox of each call
-- ARGV  ttl in ms, call ids...
-- Returns nil without such a session, else { principal, 1 when the expiry moved, 1 when it is no session but a scope of its own }.
-- include: slide
local session = redis.call('HMGET', KEYS[1], 'p', 'v')
if not session[1] then
  return false
end
local moved = slide(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]))
for i = 2, #ARGV do
  -- A closed call keeps the shorter expiry that its closing gave it.
  if redis.call('HEXISTS', KEYS[1], 'o:' .. ARGV[i]) == 1 then
    expire_with(KEYS[1], KEYS[2 * i])
    expire_with(KEYS[1], KEYS[2 * i + 1])
  end
end
return { session[1], moved, session[2] == '0' and 1 or 0 }
