-- Appends a batch to a journal, which is also the fence: a stream refuses an id that is not above its last.
-- KEYS  session, journal, inbox, state; to close the call also ended, copy of the journal, and to keep the first request key
--       the ended call of that
-- ARGV  call id, ms to retain or '' to leave the call open, count of entries,
--       id and data of each entry in ascending order, and how many ms after the time in its id it was written,
--       how: a letter each where 'k' the first request key is kept for as long as the journal, 'u' only a call is closed that
--       no other request has joined, 'l' the caller's node listens itself, 'g' the session goes with the journal, and
--       's' or 'd' session state is set or deleted: then its key, its expected version, its data,
--       'x' nothing is expected any more under some names: then these, with spaces between,
--       then the request keys to close
-- Returns 'appended', 'fenced', 'gone' or 'conflict'; 'unheard' when it is appended and only the caller's node listens. When
-- the session goes with the journal, also its principal: 'appended <principal>'.
-- include: value
-- include: wake
-- include: ended
-- include: shrink
local count = tonumber(ARGV[3])
local last = count > 0 and ARGV[1 + 3 * count]
-- An id has one owner, an epoch being given out once, and one content: what is repeated is repeated as it was. So if ours is
-- there, this is the repetition of a batch that was applied.
local function was_applied()
  return redis.call('XRANGE', KEYS[2], last, last, 'COUNT', 1)[1] ~= nil
end

local rest = 4 + 3 * count
local how = ARGV[rest]
local function is_asked(letter)
  return string.find(how, letter, 1, true) ~= nil
end
local change
if is_asked('s') or is_asked('d') then
  change = { key = ARGV[rest + 1], expected = tonumber(ARGV[rest + 2]), data = ARGV[rest + 3] }
  rest = rest + 3
end
local unexpected = ''
if is_asked('x') then
  rest = rest + 1
  unexpected = ARGV[rest]
end
local first_key = rest + 1
if change and not was_applied() then
  if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then
    return 'gone'
  end
  if version_of(KEYS[4], change.key) ~= change.expected then
    return 'conflict'
  end
end
if is_asked('u') and redis.call('HEXISTS', KEYS[1], 'j:' .. ARGV[1]) == 1 then
  return 'conflict'
end
-- Only the first entry can be refused, so a batch is never half written.
local repeated = false
for i = 1, count do
  local at = 1 + 3 * i
  local added = redis.pcall('XADD', KEYS[2], 'NOMKSTREAM', ARGV[at], 'd', ARGV[at + 1], 't', ARGV[at + 2])
  if not added then
    return 'gone'
  end
  if type(added) == 'table' then
    if not was_applied() then
      return string.find(added.err, 'equal or smaller', 1, true) and 'fenced' or added
    end
    repeated = true
    break
  end
end
if change and not repeated then
  change_value(KEYS[1], KEYS[4], change.key, is_asked('d') and 'delete' or 'set', change.data)
end
local whose = ''
if ARGV[2] ~= '' then
  if is_asked('k') and ARGV[first_key] then
    redis.call('SET', KEYS[7], ARGV[1], 'PX', ARGV[2])
    redis.call('HSET', KEYS[1], 'e', 1)
    list_ended(KEYS[5], ARGV[2], 'ended:' .. ARGV[first_key])
  end
  for name in string.gmatch(unexpected, '%S+') do
    redis.call('HDEL', KEYS[1], 'q:' .. name)
  end
  for i = first_key, #ARGV do
    -- By now the same request may be another call.
    if not repeated or redis.call('HGET', KEYS[1], 'r:' .. ARGV[i]) == ARGV[1] then
      redis.call('HDEL', KEYS[1], 'o:' .. ARGV[1], 'j:' .. ARGV[1], 'r:' .. ARGV[i], 'n:' .. ARGV[1],
        'z:' .. ARGV[1], 'b:call:' .. ARGV[1] .. ':in')
    end
  end
  redis.call('UNLINK', KEYS[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  shrink(KEYS[2], KEYS[6])
  if is_asked('g') then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[4], ARGV[2])
    whose = ' ' .. (redis.call('HGET', KEYS[1], 'p') or '-')
  end
  list_ended(KEYS[5], ARGV[2], 'call:' .. ARGV[1])
end
-- Whoever may not ask how many listen wakes them all.
if last and is_asked('l') and listeners(KEYS[1]) == 1 then
  return 'unheard' .. whose
end
if last then
  wake(KEYS[1], 'call:' .. ARGV[1] .. ' ' .. last)
end
return 'appended' .. whose
