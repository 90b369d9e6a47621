-- Reads entries after an id. Reading includes that id, which proves that the log still holds it.
-- KEYS  session, log
-- ARGV  id ('0-0': the beginning, '-': the oldest held), most entries, most bytes or 0
-- Returns { id, data, ... }, or nil when the log does not hold the id. Ends with the entry that reaches that many bytes.
local after = ARGV[1]
local most = tonumber(ARGV[2])
local most_bytes = tonumber(ARGV[3])
local from_start = after == '-' or after == '0-0'
if redis.call('EXISTS', KEYS[1]) == 0 then
  return from_start and {} or false
end
-- Entries may be large: no more are taken at once than are likely to fit.
local first_read = most_bytes > 0 and math.min(most, 8) or most
local asked = from_start and first_read or first_read + 1
local entries = redis.call('XRANGE', KEYS[2], from_start and '-' or after, '+', 'COUNT', asked)
local first = 1
if after == '0-0' then
  local oldest = entries[1]
  local trimmed = oldest and oldest[2][3] ~= 'f' or not oldest and redis.call('EXISTS', KEYS[2]) == 1
  if trimmed then
    return false
  end
elseif not from_start then
  if not entries[1] or entries[1][1] ~= after then
    return false
  end
  first = 2
end
local reply = {}
local count, bytes = 0, 0
while true do
  for i = first, #entries do
    reply[#reply + 1] = entries[i][1]
    reply[#reply + 1] = entries[i][2][2]
    count = count + 1
    bytes = bytes + #entries[i][2][2]
    if most_bytes > 0 and bytes >= most_bytes then
      return reply
    end
  end
  if #entries < asked or count >= most then
    return reply
  end
  local fit = math.floor((most_bytes - bytes) / math.max(bytes / count, 1))
  asked = math.max(1, math.min(most - count, fit))
  entries = redis.call('XRANGE', KEYS[2], '(' .. entries[#entries][1], '+', 'COUNT', asked)
  first = 1
end
