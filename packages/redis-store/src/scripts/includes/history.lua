-- What follows is also kept in the history of the session: the last of KEYS. The last two of ARGV: ms to keep, most entries.
local most_kept = table.remove(ARGV)
local kept_ms = table.remove(ARGV)
local history = KEYS[#KEYS]
local function keep(log, id, data)
  redis.call('XADD', history, 'MAXLEN', '=', most_kept, '*', 'l', log, 'i', id, 'd', data)
end
local function trim_history()
  local clock = redis.call('TIME')
  local oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - kept_ms
  redis.call('XTRIM', history, 'MINID', '=', string.format('%.0f', math.max(oldest, 0)))
  redis.call('PEXPIRE', history, kept_ms)
end
-- What a script appends to a log, once however often it is repeated.
local function keeping_log(key, log, script)
  local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local reply = script(KEYS, ARGV)
  local added = redis.call('XRANGE', key, last and '(' .. last[1] or '-', '+')
  for _, entry in ipairs(added) do
    keep(log, entry[1], entry[2][2])
  end
  if added[1] then
    trim_history()
  end
  return reply
end
-- What a script changes of the state of a session.
local function keeping_state(data, script)
  local version = redis.call('HGET', KEYS[1], 'v')
  local reply = script(KEYS, ARGV)
  local newer = redis.call('HGET', KEYS[1], 'v')
  if newer and newer ~= version then
    keep('state', newer, data)
    trim_history()
  end
  return reply
end
