-- A call waits no more for its turn.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come, those that were asked for
-- ARGV  call
-- Returns { '?', names... }, or nothing.
-- include: ask
-- include: ask-quota
-- include: places
local wait = wait_of(ARGV[1])
if wait then
  ask_for_queue(wait.on)
end
if #asked > 1 then
  return asked
end
leave_queue(ARGV[1])
