-- As append, with a history.
-- KEYS  those of append, history
-- ARGV  those of append, ms to keep, most entries
-- Returns what append does.
-- include: history
-- script: append
return keeping_log(KEYS[2], ARGV[7], append)
