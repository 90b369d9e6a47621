-- Appends to a log that any node may write, and wakes its readers.
-- KEYS  session, log, once, ended
-- ARGV  data, most entries, most bytes or 0, '1' to refuse what does not fit, what it must be expected under or '',
--       call that must be open or '', log name, ms to remember the nonce,
--       server, ms after which a scope of no session expires, which is made then, or ''
-- Returns the id, 'full', or nil.
-- include: ended
-- include: wake
-- include: server
local left = redis.call('PTTL', KEYS[1])
if ARGV[10] ~= '' then
  if left < 0 then
    redis.call('HSET', KEYS[1], 'p', '-', 'l', '', 'v', 0, 'd', '0-0')
  end
  left = tonumber(ARGV[10])
  redis.call('PEXPIRE', KEYS[1], left)
  redis.call('PEXPIRE', KEYS[2], left)
end
if left < 0 then
  return false
end
if ARGV[9] ~= '-' and not is_of(redis.call('HGET', KEYS[1], 'm'), ARGV[9]) then
  return false
end
local repeated = redis.call('GET', KEYS[3])
if repeated then
  return repeated
end
if ARGV[6] ~= '' and redis.call('HEXISTS', KEYS[1], 'o:' .. ARGV[6]) == 0 then
  return false
end
if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[1], 'q:' .. ARGV[5]) == 0 then
  return false
end
local most = tonumber(ARGV[2])
local most_bytes = tonumber(ARGV[3])
local size = 'b:' .. ARGV[7]
local length = redis.call('XLEN', KEYS[2]) + 1
-- Counted only where they are limited.
local bytes = most_bytes > 0 and tonumber(redis.call('HGET', KEYS[1], size) or 0) + #ARGV[1] or 0
local function is_full()
  return length > most or most_bytes > 0 and bytes > most_bytes and length > 1
end
if ARGV[4] == '1' and (length > most or most_bytes > 0 and bytes > most_bytes) then
  return 'full'
end
if ARGV[5] ~= '' then
  redis.call('HDEL', KEYS[1], 'q:' .. ARGV[5])
end
local id
local before = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if before then
  id = redis.call('XADD', KEYS[2], '*', 'd', ARGV[1])
else
  -- The second field marks the first entry ever written: a log that begins without it was trimmed.
  id = redis.call('XADD', KEYS[2], '*', 'd', ARGV[1], 'f', '')
  redis.call('PEXPIRE', KEYS[2], math.max(left, 1))
  -- An inbox of no open call is a server object's.
  local inbox_of = string.match(ARGV[7], '^call:(.*):in$')
  if inbox_of and redis.call('HEXISTS', KEYS[1], 'o:' .. inbox_of) == 0 then
    list_ended(KEYS[4], math.max(left, 1), ARGV[7])
  end
end
while is_full() do
  if most_bytes > 0 then
    bytes = bytes - #redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1][2][2]
  end
  length = length - 1
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', length)
end
if most_bytes > 0 then
  redis.call('HSET', KEYS[1], size, math.max(bytes, 0))
end
redis.call('SET', KEYS[3], id, 'PX', ARGV[8])
local news = ARGV[7] .. ' ' .. id
-- Who has read all that was there before needs to read nothing, then.
if #ARGV[1] <= 4096 then
  news = '\n' .. news .. ' ' .. (before and before[1] or '0-0') .. ' ' .. ARGV[1]
end
wake(KEYS[1], news)
return id
