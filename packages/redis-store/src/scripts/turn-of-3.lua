-- The turn of a call that is in the queue.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come
-- ARGV  call
-- Returns nil when it is not, 'waits', or { call, ms that it has waited, when that was told, names of quotas }.
-- include: places
-- include: turn
local wait = wait_of(ARGV[1])
local told_at = redis.call('ZSCORE', KEYS[3], ARGV[1])
return wait and (told_at and turn_of(ARGV[1], wait, told_at, clock_ms()) or 'waits')
