-- Slides the expiry of a session, and of those of the named calls that are open.
-- KEYS  session, out, open
-- ARGV  ttl in ms, call ids...
-- Returns nil without such a session, else { principal, 1 when the expiry moved }.
-- include: slide
local principal = redis.call('HGET', KEYS[1], 'p')
if not principal then
  return false
end
local ttl = tonumber(ARGV[1])
local named = {}
for i = 2, #ARGV do
  named[ARGV[i]] = true
end
-- A closed call keeps the shorter expiry that its closing gave it.
for _, call_id in ipairs(redis.call('HVALS', KEYS[3])) do
  if named[call_id] then
    local journal = KEYS[1] .. ':call:' .. call_id
    redis.call('PEXPIRE', journal, ttl)
    redis.call('PEXPIRE', journal .. ':in', ttl)
  end
end
return { principal, slide(KEYS[1], KEYS[2], KEYS[3], ttl) }
