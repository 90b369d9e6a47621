-- Which quotas calls wait for.
-- KEYS  which quotas are waited for
-- Returns keys of quotas.
return redis.call('ZRANGE', KEYS[1], 0, -1)
