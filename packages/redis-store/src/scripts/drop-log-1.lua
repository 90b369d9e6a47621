-- Deletes a log.
-- KEYS  log
-- Returns how many keys were deleted.
return redis.call('UNLINK', KEYS[1])
