-- Takes a place for a call in each of several quotas, or in none; or lets it wait for its turn.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come, which quotas are waited for, each quota and its queue...
-- ARGV  call, ms after which an unused quota is forgotten, how many of the quotas it does not wait for,
--       for each quota: most places, ms that a place is had for, or '' until it is released
-- Returns nil, or { '1' when it waits, ms until there is room or '' when that is not known, the numbers of the quotas that are full... }.
-- include: places
local now = clock_ms()
local call, forget, refusing = ARGV[1], ARGV[2], tonumber(ARGV[3])
local quotas = {}
for i = 1, (#KEYS - 4) / 2 do
  quotas[i] = { key = KEYS[3 + 2 * i], most = tonumber(ARGV[2 + 2 * i]), window = tonumber(ARGV[3 + 2 * i]) or false }
end
local full = {}
local free_in = 0
local refused = false
for i, quota in ipairs(quotas) do
  local is_over, ms = is_full(quota.key, call, quota.most, quota.window, now)
  if is_over or redis.call('EXISTS', queue_of(quota.key)) == 1 and not redis.call('ZSCORE', quota.key, call) then
    full[#full + 1] = i
    free_in = ms and free_in and math.max(free_in, ms)
    refused = refused or i <= refusing
  end
end
local waits = #full > 0 and not refused
for i, quota in ipairs(quotas) do
  if #full == 0 or waits and i <= refusing then
    take_place(quota.key, call, quota.window, now, forget)
  end
end
if #full == 0 then
  return false
end
if waits then
  local wanted = {}
  for i = refusing + 1, #quotas do
    wanted[#wanted + 1] = quotas[i]
  end
  local earlier = wait_of(call)
  -- Its turn had come, and its places were given back since.
  local came_too_soon = redis.call('ZREM', KEYS[3], call) == 1
  if not earlier or came_too_soon then
    local at = earlier and earlier.at or now
    wait_for(quotas[full[1]].key, call, { at = at, quotas = wanted }, forget)
  end
end
local reply = { waits and '1' or '', free_in and string.format('%.0f', free_in) or '' }
for _, i in ipairs(full) do
  reply[#reply + 1] = tostring(i)
end
return reply
