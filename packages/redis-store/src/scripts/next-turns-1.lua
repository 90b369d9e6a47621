-- Gives places to the calls that have waited for longest, and tells of those whose turn has come. The first in the queue of a quota that
-- waits for another one by now goes to the queue of that, where it stands by when it came.
-- KEYS  what keys of quotas begin with
-- ARGV  ms after which a call is told of again, most calls, ms after which an unused quota is forgotten
-- Returns { call, ms that it has waited, ... }.
-- include: places
local now = clock_ms()
local waits, given, waited = KEYS[1] .. ':waits', KEYS[1] .. ':given', KEYS[1] .. ':waited'
local most = tonumber(ARGV[2])
local turns = {}
local function wait_of(call)
  local wait = redis.call('HGET', waits, call)
  return wait and cjson.decode(wait)
end
local function give(call, wait)
  redis.call('ZADD', given, string.format('%.0f', now), call)
  redis.call('PEXPIRE', given, ARGV[3])
  turns[#turns + 1] = call
  turns[#turns + 1] = string.format('%.0f', now - wait.at)
end
local function full_of(call, wait)
  for _, quota in ipairs(wait.quotas) do
    if is_full(quota.key, call, quota.most, quota.window, now) then
      return quota.key
    end
  end
end

local again = string.format('%.0f', now - ARGV[1])
for _, call in ipairs(redis.call('ZRANGE', given, '-inf', again, 'BYSCORE', 'LIMIT', 0, most)) do
  local wait = wait_of(call)
  if wait then
    give(call, wait)
  else
    redis.call('ZREM', given, call)
  end
end
for _, quota in ipairs(redis.call('ZRANGE', waited, 0, -1)) do
  local queue = queue_of(quota)
  while #turns < 2 * most do
    local call = redis.call('ZRANGE', queue, 0, 0)[1]
    if not call then
      redis.call('ZREM', waited, quota)
      break
    end
    local wait = wait_of(call)
    local full = wait and full_of(call, wait)
    if full == quota then
      break
    end
    redis.call('ZREM', queue, call)
    if full then
      wait_for(KEYS[1], full, call, wait, ARGV[3])
    elseif wait then
      for _, each in ipairs(wait.quotas) do
        take_place(each.key, call, each.window, now, ARGV[3])
      end
      give(call, wait)
    end
  end
end
return turns
