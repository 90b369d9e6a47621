-- Whether any connection listens to the wake-ups of a scope.
-- KEYS  session
-- Returns 1 or 0.
return redis.call('PUBSUB', 'SHARDNUMSUB', KEYS[1])[2] > 0 and 1 or 0
