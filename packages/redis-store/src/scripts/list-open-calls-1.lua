-- The open calls of a session and their owners.
-- KEYS  session
-- Returns { call id, owner, ... }.
-- include: open
local reply = {}
each_field(KEYS[1], 'o:', function(call_id, owner)
  reply[#reply + 1] = call_id
  reply[#reply + 1] = owner
end)
return reply
