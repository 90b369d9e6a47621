-- Changes a value of session state, if it has the expected version.
-- KEYS  session, state
-- ARGV  key, expected version, 'set' or 'delete', data
-- Returns the new version, 0 when deleted, 'conflict', or 'unknown' without such a session.
-- include: value
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'unknown'
end
if version_of(KEYS[2], ARGV[1]) ~= tonumber(ARGV[2]) then
  return 'conflict'
end
return change_value(KEYS[1], KEYS[2], ARGV[1], ARGV[3], ARGV[4])
