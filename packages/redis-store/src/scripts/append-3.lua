-- Appends to a log that any node may write, and wakes its readers.
-- KEYS  session, log, once
-- ARGV  data, most entries, '1' to append to an existing log only, log name, ms to remember the nonce
-- Returns the id, or nil.
-- include: ended
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  return false
end
local repeated = redis.call('GET', KEYS[3])
if repeated then
  return repeated
end
local id
local before = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if before then
  id = redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[2], '*', 'd', ARGV[1])
elseif ARGV[3] == '1' then
  return false
else
  -- The second field marks the first entry ever written: a log that begins without it was trimmed.
  id = redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[2], '*', 'd', ARGV[1], 'f', '')
  redis.call('PEXPIRE', KEYS[2], math.max(left, 1))
  -- An inbox of no open call: of a server object, or of a call that has just ended.
  local inbox_of = string.match(ARGV[4], '^call:(.*):in$')
  if inbox_of and redis.call('HEXISTS', KEYS[1], 'o:' .. inbox_of) == 0 then
    list_ended(KEYS[1], math.max(left, 1), ARGV[4])
  end
end
redis.call('SET', KEYS[3], id, 'PX', ARGV[5])
local news = ARGV[4] .. ' ' .. id
-- Who has read all that was there before needs to read nothing, then.
if #ARGV[1] <= 4096 then
  news = '\n' .. news .. ' ' .. (before and before[1] or '0-0') .. ' ' .. ARGV[1]
end
redis.call('SPUBLISH', KEYS[1], news)
return id
