-- Adds a scope to an index, or moves it to its new expiry, and purges those whose expiry has passed.
-- KEYS  index
-- ARGV  scope, ms until it expires, most scopes or '' for no limit,
--       'CH' to set the expiry, 'GT' to move it later only, 'XX' to move but not add, '1' to add it to so many all the same
-- Returns 1, or 0 when there were so many already.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local full = ARGV[3] ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3])
  and not redis.call('ZSCORE', KEYS[1], ARGV[1])
if full and ARGV[5] ~= '1' then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[4], string.format('%.0f', now + ARGV[2]), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return full and 0 or 1
