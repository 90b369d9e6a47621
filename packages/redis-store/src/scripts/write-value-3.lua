-- Changes a value of a scope, if it has the expected version.
-- KEYS  session, state, marks
-- ARGV  key, expected version, 'set' or 'delete', data, mark or '', ms to remember it,
--       principal and ms to live after a use of a scope that is made if it is not there, or '' and '', most bytes or '',
--       what the mark was named before or ''
-- Returns the new version, 0 when deleted, 'conflict', 'repeated', 'full', or 'unknown' without such a scope.
-- include: value
-- include: scope
if ARGV[8] ~= '' and not begin_scope(KEYS[1], KEYS[2], ARGV[7], ARGV[8]) then
  return 'unknown'
end
use_scope(KEYS[1], KEYS[2], KEYS[3])
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'unknown'
end
if ARGV[5] ~= '' and (redis.call('ZSCORE', KEYS[3], ARGV[5]) or redis.call('ZSCORE', KEYS[3], ARGV[10])) then
  return 'repeated'
end
if version_of(KEYS[2], ARGV[1]) ~= tonumber(ARGV[2]) then
  return 'conflict'
end
if ARGV[9] ~= '' then
  local more = (ARGV[3] == 'set' and #ARGV[1] + #ARGV[4] or 0) - size_of(KEYS[2], ARGV[1])
  if more > 0 and tonumber(redis.call('HGET', KEYS[2], 'b') or 0) + more > tonumber(ARGV[9]) then
    return 'full'
  end
end
if ARGV[5] ~= '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[6]), ARGV[5])
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
return change_value(KEYS[1], KEYS[2], ARGV[1], ARGV[3], ARGV[4])
