-- Takes from the scopes that a node holds.
-- KEYS  scopes of the node
-- ARGV  scopes...
for i = 1, #ARGV do
  redis.call('SREM', KEYS[1], ARGV[i])
end
