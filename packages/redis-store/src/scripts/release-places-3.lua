-- Gives back places of a call in quotas; it does not wait for its turn any more, unless a time is given.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come, quotas..., those that were asked for
-- ARGV  call, the time it must have had them since, or '', how many quotas
-- Returns { '?', names... }, or 1 when calls wait for their turn, else 0.
-- include: ask
-- include: ask-quota
-- include: places
if ARGV[2] == '' then
  local wait = wait_of(ARGV[1])
  if wait then
    ask_for_queue(wait.on)
  end
  if #asked > 1 then
    return asked
  end
  leave_queue(ARGV[1])
end
for i = 4, 3 + ARGV[3] do
  local at = redis.call('ZSCORE', KEYS[i], ARGV[1])
  if at and (ARGV[2] == '' or tonumber(at) <= tonumber(ARGV[2])) then
    redis.call('ZREM', KEYS[i], ARGV[1])
  end
end
return redis.call('EXISTS', KEYS[2])
