local function clock_ms()
  local clock = redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end
-- Whether a call that has no place in the quota finds none free; and the ms until one is, where places have their time.
local function is_full(quota, call, most, window, now)
  if window then
    redis.call('ZREMRANGEBYSCORE', quota, '-inf', string.format('%.0f', now - window))
  end
  local taken = redis.call('ZCARD', quota)
  if taken < most or redis.call('ZSCORE', quota, call) then
    return false
  end
  local leaves = window and redis.call('ZRANGE', quota, taken - most, taken - most, 'WITHSCORES')
  return true, leaves and leaves[2] + window - now
end
local function take_place(quota, call, window, now, forget)
  if window then
    redis.call('ZADD', quota, 'NX', string.format('%.0f', now), call)
  else
    redis.call('ZADD', quota, string.format('%.0f', now), call)
  end
  redis.call('PEXPIRE', quota, window or forget)
end
-- Who waits for a quota stands in its queue, in the order in which they came. Beside the quotas, KEYS[1] being what keys of quotas
-- begin with: what each waits for (KEYS[2]), whose turn has come and when that was told (KEYS[3]), which quotas are waited for (KEYS[4]).
local function queue_of(quota)
  return quota .. ':queue'
end
local function wait_for(quota, call, wait, forget)
  wait.on = quota
  redis.call('HSET', KEYS[2], call, cjson.encode(wait))
  redis.call('ZADD', queue_of(quota), string.format('%.0f', wait.at), call)
  redis.call('ZADD', KEYS[4], 0, quota)
  for _, key in ipairs({ KEYS[2], queue_of(quota), KEYS[4] }) do
    redis.call('PEXPIRE', key, forget)
  end
end
local function wait_of(call)
  local wait = redis.call('HGET', KEYS[2], call)
  return wait and cjson.decode(wait)
end
local function leave_queue(call)
  local wait = wait_of(call)
  if wait then
    redis.call('HDEL', KEYS[2], call)
    redis.call('ZREM', KEYS[3], call)
    redis.call('ZREM', queue_of(wait.on), call)
  end
end
