-- Leaves word for the watchers of a scope, where the server has no pub/sub.
-- KEYS  news
-- ARGV  topic and value, most entries, ms to keep them
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'n', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
