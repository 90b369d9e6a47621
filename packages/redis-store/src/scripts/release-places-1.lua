-- Gives back places of a call in quotas; it does not wait for its turn any more, unless a time is given.
-- KEYS  what keys of quotas begin with, quotas...
-- ARGV  call, the time it must have had them since, or ''
-- Returns 1 when calls wait for their turn, else 0.
-- include: places
if ARGV[2] == '' then
  leave_queue(KEYS[1], ARGV[1])
end
for i = 2, #KEYS do
  local at = redis.call('ZSCORE', KEYS[i], ARGV[1])
  if at and (ARGV[2] == '' or tonumber(at) <= tonumber(ARGV[2])) then
    redis.call('ZREM', KEYS[i], ARGV[1])
  end
end
return redis.call('EXISTS', KEYS[1] .. ':waits')
