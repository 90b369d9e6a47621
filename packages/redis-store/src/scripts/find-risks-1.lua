-- Looks for what in the server's set-up may lose data that was acknowledged.
-- KEYS  any key of the server
-- Returns the maxmemory-policy.
return string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''
