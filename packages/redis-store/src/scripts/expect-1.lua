-- Lets one entry be appended that answers a name.
-- KEYS  session
-- ARGV  name, call that must be open or ''
-- Returns 1, or 0 when there is no such session, or the call is not open.
if redis.call('EXISTS', KEYS[1]) == 0 or ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[1], 'o:' .. ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'q:' .. ARGV[1], 1)
return 1
