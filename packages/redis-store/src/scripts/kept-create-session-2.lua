-- As create-session, with a history.
-- KEYS  those of create-session, history
-- ARGV  those of create-session, ms to keep, most entries
-- Returns what create-session does.
-- include: history
-- script: create-session
return keeping_state(ARGV[4], create_session)
