-- Gives places to the calls that have waited for longest, of all queues, and tells of those whose turn has come. The first in the queue of a
-- quota that waits for another one by now goes to the queue of that, where it stands by when it came.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come, which quotas are waited for, those that were asked for
-- ARGV  ms after which a call is told of again, or '' for never, most calls, ms after which an unused quota is forgotten
-- Returns { { '?', names... }, { call, ms that it has waited, when this is told, names of quotas }, ... }: it is to be run again if there are
--         names behind the '?', as far as it has come.
-- include: ask
-- include: ask-quota
-- include: places
-- include: turn
local now = clock_ms()
local waited = KEYS[4]
local most = tonumber(ARGV[2])
local turns = {}
local function give(call, wait)
  local told_at = string.format('%.0f', now)
  redis.call('ZADD', KEYS[3], told_at, call)
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  turns[#turns + 1] = turn_of(call, wait, told_at, now)
end
local function full_of(call, wait)
  for _, quota in ipairs(wait.quotas) do
    if is_full(quota.key, call, quota.most, quota.window, now) then
      return quota.key
    end
  end
end

local function given_before(ms)
  return redis.call('ZRANGE', KEYS[3], '-inf', string.format('%.0f', now - ms), 'BYSCORE', 'LIMIT', 0, most)
end
for _, call in ipairs(ARGV[1] ~= '' and given_before(ARGV[1]) or {}) do
  local wait = wait_of(call)
  if wait then
    give(call, wait)
  else
    redis.call('ZREM', KEYS[3], call)
  end
end
-- Who stands first in each queue, unless the quota is full for that call.
local heads = {}
local function look(quota)
  local head = redis.call('ZRANGE', queue_of(quota), 0, 0, 'WITHSCORES')
  heads[quota] = head[1] and { call = head[1], at = tonumber(head[2]) }
  if not head[1] then
    redis.call('ZREM', waited, quota)
  end
end
local function longest_waiting()
  local first
  for quota, head in pairs(heads) do
    local than = first and heads[first]
    if not than or head.at < than.at or head.at == than.at and head.call < than.call then
      first = quota
    end
  end
  return first
end
local quotas = redis.call('ZRANGE', waited, 0, -1)
for _, quota in ipairs(quotas) do
  ask_for_quota(quota)
end
for _, quota in ipairs(#asked == 1 and quotas or {}) do
  look(quota)
end
while #turns < most do
  local quota = longest_waiting()
  if not quota then
    break
  end
  local call = heads[quota].call
  local wait = wait_of(call)
  for _, each in ipairs(wait and wait.quotas or {}) do
    ask_for_quota(each.key)
  end
  if #asked > 1 then
    break
  end
  local full = wait and full_of(call, wait)
  if full ~= quota then
    redis.call('ZREM', queue_of(quota), call)
    if full then
      wait_for(full, call, wait, ARGV[3])
    elseif wait then
      for _, each in ipairs(wait.quotas) do
        take_place(each.key, call, each.window, now, ARGV[3])
      end
      give(call, wait)
    end
    look(quota)
  end
  if full then
    heads[full] = nil
  end
end
table.insert(turns, 1, asked)
return turns
