-- Admits, and opens a call with the first entry of its journal.
-- KEYS  session, out, state, journal, ended call of the first request key, those that were asked for
-- ARGV  principal, ttl in ms, call id, data, most open requests, owner, server,
--       most bytes of data of open calls or '', protocolVersion of a scope to be made with the call or '', request keys...
-- Returns { '?', names... }, or { status, protocolVersion, version, delivered, changes of values, 1 when the expiry moved, id or call id },
-- with the status 'unknown' (alone), 'limit', 'attached' or 'opened'.
-- include: ask
-- include: slide
-- include: open
-- include: server
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd', 'r:' .. ARGV[10], 'e', 'u', 'm')
if ARGV[9] ~= '' and not session[1] then
  local clock = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'p', ARGV[1], 'l', ARGV[9], 'v', 0, 'd', '0-0',
    'c', string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)))
  if ARGV[7] ~= '-' then
    redis.call('HSET', KEYS[1], 'm', ARGV[7])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  session = { ARGV[1], ARGV[9], '0', '0-0', false, false, false, false }
end
if session[1] ~= ARGV[1] or not is_of(session[8], ARGV[7]) then
  return { 'unknown' }
end
local mine = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1]
local same = session[5]
local ended = session[6] and redis.call('GET', KEYS[5])
local requests = #ARGV - 9
local most = tonumber(ARGV[5])
local size = #ARGV[4]
-- Calls of little data are bounded by their number.
local counts = size > 16384
local most_bytes = counts and tonumber(ARGV[8])
local function requests_with(is_open)
  local count = requests
  each_field(KEYS[1], 'r:', function(_, call_id)
    count = count + (is_open(call_id) and 1 or 0)
  end)
  return count
end
local function bytes_of(is_open)
  local sum = 0
  each_field(KEYS[1], 'z:', function(call_id, bytes)
    sum = sum + (is_open(call_id) and tonumber(bytes) or 0)
  end)
  return sum
end
local function anyone()
  return true
end
local function ask_for_journal(call_id)
  ask('call:' .. call_id)
end
-- The hash has more fields than there are open requests, so they are counted only if there may be too many. And 'z' is at least
-- what the others that are open have: it is counted anew only when that would be too much, since the hash may be large. Which of
-- them have lost their journal matters only if all would be too many.
local is_crowded, is_heavy = false, false
local others = most_bytes and tonumber(redis.call('HGET', KEYS[1], 'z') or 0)
if not mine then
  is_crowded = requests <= most and redis.call('HLEN', KEYS[1]) + requests > most and requests_with(anyone) > most
  if most_bytes and others + size > most_bytes then
    others = bytes_of(anyone)
    is_heavy = others > 0 and others + size > most_bytes
  end
  if same then
    ask_for_journal(same)
  end
  if ended then
    ask_for_journal(ended)
  end
  if is_crowded then
    requests_with(ask_for_journal)
  end
  if is_heavy then
    bytes_of(ask_for_journal)
  end
  if #asked > 1 then
    return asked
  end
end

local moved = slide(KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2]))
local function reply(status, value)
  return { status, session[2], session[3], session[4], session[7] or '0', moved, value }
end
local function is_open(call_id)
  return has_journal(KEYS[1], call_id)
end
if mine then
  return reply('opened', mine[1])
end
if same and is_open(same) then
  redis.call('HSET', KEYS[1], 'j:' .. same, 1)
  return reply('attached', same)
end
if ended and is_open(ended) then
  return reply('attached', ended)
end
if requests > most then
  return reply('limit', '')
end
if is_crowded then
  each_field(KEYS[1], 'r:', function(key, call_id)
    if not is_open(call_id) then
      redis.call('HDEL', KEYS[1], 'r:' .. key, 'o:' .. call_id, 'j:' .. call_id, 'n:' .. call_id,
        'z:' .. call_id)
    end
  end)
  if requests_with(anyone) > most then
    return reply('limit', '')
  end
end
if is_heavy then
  others = bytes_of(is_open)
  if others > 0 and others + size > most_bytes then
    return reply('limit', '')
  end
end
if most_bytes then
  redis.call('HSET', KEYS[1], 'z', string.format('%.0f', others + size))
end

local clock = redis.call('TIME')
local id = string.format('%.0f-1', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('XADD', KEYS[4], id, 'd', ARGV[4], 'f', '')
expire_with(KEYS[1], KEYS[4])
redis.call('HSET', KEYS[1], 'o:' .. ARGV[3], ARGV[6], 'r:' .. ARGV[10], ARGV[3])
for i = 11, #ARGV do
  redis.call('HSET', KEYS[1], 'r:' .. ARGV[i], ARGV[3])
end
if counts then
  redis.call('HSET', KEYS[1], 'z:' .. ARGV[3], size)
end
return reply('opened', id)
