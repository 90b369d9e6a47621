-- As append-call, with a history.
-- KEYS  those of append-call, history
-- ARGV  those of append-call, ms to keep, most entries
-- Returns what append-call does.
-- include: history
-- script: append-call
return keeping_log(KEYS[2], 'call:' .. ARGV[1], append_call)
