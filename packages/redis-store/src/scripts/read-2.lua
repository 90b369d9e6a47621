-- Reads entries after an id. Reading includes that id, which proves that the log still holds it.
-- KEYS  session, log
-- ARGV  id ('0-0': the beginning, '-': the oldest held), most entries
-- Returns { id, data, ... }, or nil when the log does not hold the id.
local after = ARGV[1]
local from_start = after == '-' or after == '0-0'
if redis.call('EXISTS', KEYS[1]) == 0 then
  return from_start and {} or false
end
local entries
local first = 1
if from_start then
  entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[2])
  if after == '0-0' then
    local oldest = entries[1]
    local trimmed = oldest and oldest[2][3] ~= 'f' or not oldest and redis.call('EXISTS', KEYS[2]) == 1
    if trimmed then
      return false
    end
  end
else
  entries = redis.call('XRANGE', KEYS[2], after, '+', 'COUNT', ARGV[2] + 1)
  if not entries[1] or entries[1][1] ~= after then
    return false
  end
  first = 2
end
local reply = {}
for i = first, #entries do
  reply[#reply + 1] = entries[i][1]
  reply[#reply + 1] = entries[i][2][2]
end
return reply
