-- The calls that have had their places in a quota for long. They count as having taken them now.
-- KEYS  quota
-- ARGV  for how many ms, most calls
-- Returns { now, call, ... }.
-- include: places
local now = string.format('%.0f', clock_ms())
local before = string.format('%.0f', now - ARGV[1])
local calls = redis.call('ZRANGE', KEYS[1], '-inf', before, 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, call in ipairs(calls) do
  redis.call('ZADD', KEYS[1], 'XX', now, call)
end
return { now, unpack(calls) }
