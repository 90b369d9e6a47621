-- The open calls of a session and their owners.
-- KEYS  session
-- Returns { call id, owner, ... }.
local reply = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'o:' then
    reply[#reply + 1] = string.sub(fields[i], 3)
    reply[#reply + 1] = fields[i + 1]
  end
end
return reply
