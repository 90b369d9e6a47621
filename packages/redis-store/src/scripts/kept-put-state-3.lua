-- As put-state, with a history.
-- KEYS  those of put-state, history
-- ARGV  those of put-state, ms to keep, most entries
-- Returns what put-state does.
-- include: history
-- script: put-state
return keeping_state(ARGV[2], put_state)
