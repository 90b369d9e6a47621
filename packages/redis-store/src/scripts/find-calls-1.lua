-- Finds the open calls that have a request key with a prefix.
-- KEYS  session
-- ARGV  prefix
-- Returns { call id, ... }, each once.
-- include: open
local found = {}
local seen = {}
each_field(KEYS[1], 'r:' .. ARGV[1], function(_, call_id)
  if not seen[call_id] then
    seen[call_id] = true
    if has_journal(KEYS[1], call_id) then
      found[#found + 1] = call_id
    end
  end
end)
return found
