-- Slides the expiry of a session, and of those of the named calls that are open.
-- KEYS  session, out
-- ARGV  ttl in ms, call ids...
-- Returns nil without such a session, else { principal, 1 when the expiry moved }.
-- include: slide
local principal = redis.call('HGET', KEYS[1], 'p')
if not principal then
  return false
end
local moved = slide(KEYS[1], KEYS[2], tonumber(ARGV[1]))
for i = 2, #ARGV do
  -- A closed call keeps the shorter expiry that its closing gave it.
  if redis.call('HEXISTS', KEYS[1], 'o:' .. ARGV[i]) == 1 then
    local journal = KEYS[1] .. ':call:' .. ARGV[i]
    expire_with(KEYS[1], journal)
    expire_with(KEYS[1], journal .. ':in')
  end
end
return { principal, moved }
