-- Deletes a log.
-- KEYS  session, log
-- ARGV  log name, names under which nothing is expected any more...
redis.call('UNLINK', KEYS[2])
redis.call('HDEL', KEYS[1], 'b:' .. ARGV[1])
for i = 2, #ARGV do
  redis.call('HDEL', KEYS[1], 'q:' .. ARGV[i])
end
