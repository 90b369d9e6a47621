-- As record-call, with a history.
-- KEYS  those of record-call, history
-- ARGV  those of record-call, ms to keep, most entries
-- Returns what record-call does.
-- include: history
-- script: record-call
return keeping_log(KEYS[3], 'call:' .. ARGV[3], record_call)
