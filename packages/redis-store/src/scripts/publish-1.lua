-- Wakes the watchers of a scope.
-- KEYS  session, whose name is the channel's too
-- ARGV  topic and value
-- include: wake
wake(KEYS[1], ARGV[1])
