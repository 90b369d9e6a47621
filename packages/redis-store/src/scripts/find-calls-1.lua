-- Finds the open calls that have a request key with a prefix.
-- KEYS  session, those that were asked for
-- ARGV  prefix
-- Returns { '?', names... }, or { call id, ... }, each once.
-- include: ask
-- include: open
local found = {}
local seen = {}
each_field(KEYS[1], 'r:' .. ARGV[1], function(_, call_id)
  if not seen[call_id] then
    seen[call_id] = true
    found[#found + 1] = call_id
    ask('call:' .. call_id)
  end
end)
if #asked > 1 then
  return asked
end
local open = {}
for _, call_id in ipairs(found) do
  if has_journal(KEYS[1], call_id) then
    open[#open + 1] = call_id
  end
end
return open
