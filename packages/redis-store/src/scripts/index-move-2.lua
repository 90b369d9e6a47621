-- Moves a scope from one index to another, and purges from that those whose expiry has passed.
-- KEYS  index it leaves, index it goes to
-- ARGV  scope, ms until it expires; or '' to leave its expiry as it is, if it is there
-- Returns nothing.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local ms = tonumber(ARGV[2])
if not ms then
  local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not expiry then
    return
  end
  ms = math.max(expiry - now, 1)
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ms), ARGV[1])
if redis.call('PTTL', KEYS[2]) < ms then
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ms))
end
