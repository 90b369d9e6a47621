-- The places of a call in quotas count as taken now.
-- KEYS  what keys of quotas begin with: the time is that of their slot; quotas...
-- ARGV  call
-- Returns the time by which they are taken, as it was before this ms, in ms since 1970.
-- include: places
local taken_at = string.format('%.0f', clock_ms() - 1)
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], 'XX', taken_at, ARGV[1])
end
return taken_at
