-- Some of the scopes that a node holds.
-- KEYS  scopes of the node
-- ARGV  most
return redis.call('SRANDMEMBER', KEYS[1], ARGV[1])
