-- Whether any connection listens to the wake-ups of a scope.
-- KEYS  session
-- Returns 1 or 0; an error where that may not be asked, or can't be told.
-- include: wake
if not COUNT then
  return redis.error_reply('ERR it is not known who listens')
end
return redis.call('PUBSUB', COUNT, KEYS[1])[2] > 0 and 1 or 0
