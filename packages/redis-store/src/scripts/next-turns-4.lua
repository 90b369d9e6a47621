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
-- Who stands first in each queue; last of them, who has waited for longest.
local heads = {}
local function has_come_later(a, b)
  return a.at > b.at or a.at == b.at and a.call > b.call
end
local function head_of(quota)
  local head = redis.call('ZRANGE', queue_of(quota), 0, 0, 'WITHSCORES')
  if not head[1] then
    redis.call('ZREM', waited, quota)
  end
  return head[1] and { quota = quota, call = head[1], at = tonumber(head[2]) }
end
local function place_among_heads(head)
  local low, high = 1, #heads + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if has_come_later(heads[middle], head) then
      low = middle + 1
    else
      high = middle
    end
  end
  table.insert(heads, low, head)
end
local quotas = redis.call('ZRANGE', waited, 0, -1)
for _, quota in ipairs(quotas) do
  ask_for_quota(quota)
end
for _, quota in ipairs(#asked == 1 and quotas or {}) do
  heads[#heads + 1] = head_of(quota) or nil
end
table.sort(heads, has_come_later)
-- Nobody passes another one who waits for the same quota.
local blocked = {}
while #turns < most and #heads > 0 do
  local head = heads[#heads]
  local wait = wait_of(head.call)
  for _, each in ipairs(wait and wait.quotas or {}) do
    ask_for_quota(each.key)
  end
  if #asked > 1 then
    break
  end
  table.remove(heads)
  if not blocked[head.quota] then
    local full = wait and full_of(head.call, wait)
    if full then
      blocked[full] = true
    end
    if full ~= head.quota then
      redis.call('ZREM', queue_of(head.quota), head.call)
      if full then
        wait_for(full, head.call, wait, ARGV[3])
      elseif wait then
        for _, each in ipairs(wait.quotas) do
          take_place(each.key, head.call, each.window, now, ARGV[3])
        end
        give(head.call, wait)
      end
      local next_head = head_of(head.quota)
      if next_head then
        place_among_heads(next_head)
      end
    end
  end
end
table.insert(turns, 1, asked)
return turns
