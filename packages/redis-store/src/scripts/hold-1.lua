-- Adds to the scopes that a node holds.
-- KEYS  scopes of the node
-- ARGV  ms after which they are forgotten, scopes...
for i = 2, #ARGV do
  redis.call('SADD', KEYS[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
