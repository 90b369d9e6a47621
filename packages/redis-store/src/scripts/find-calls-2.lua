-- Finds the open calls that have a request key with a prefix.
-- KEYS  session, open
-- ARGV  prefix
-- Returns { call id, ... }, each once.
local found = {}
local seen = {}
local open = redis.call('HGETALL', KEYS[2])
for i = 1, #open, 2 do
  local call_id = open[i + 1]
  if string.sub(open[i], 1, #ARGV[1]) == ARGV[1] and not seen[call_id] then
    seen[call_id] = true
    if redis.call('EXISTS', KEYS[1] .. ':call:' .. call_id) == 1 then
      found[#found + 1] = call_id
    end
  end
end
return found
