-- A call waits no more for its turn.
-- KEYS  what keys of quotas begin with
-- ARGV  call
-- Returns nothing.
-- include: places
leave_queue(KEYS[1], ARGV[1])
