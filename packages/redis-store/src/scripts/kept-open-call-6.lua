-- As open-call, with a history.
-- KEYS  those of open-call, history
-- ARGV  those of open-call, ms to keep, most entries
-- Returns what open-call does.
-- include: history
-- script: open-call
return keeping_log(KEYS[4], 'call:' .. ARGV[3], open_call)
