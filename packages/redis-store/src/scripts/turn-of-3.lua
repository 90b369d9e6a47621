-- The turn of a call, if it has come.
-- KEYS  what keys of quotas begin with, who waits, whose turn has come
-- ARGV  call
-- Returns nil, or { call, ms that it has waited, when that was told, names of quotas }.
-- include: places
-- include: turn
local told_at = redis.call('ZSCORE', KEYS[3], ARGV[1])
local wait = told_at and wait_of(ARGV[1])
return wait and turn_of(ARGV[1], wait, told_at, clock_ms())
