-- As claim-call, with a history.
-- KEYS  those of claim-call, history
-- ARGV  those of claim-call, ms to keep, most entries
-- Returns what claim-call does.
-- include: history
-- script: claim-call
return keeping_log(KEYS[2], 'call:' .. ARGV[1], claim_call)
