-- Admits, and opens a call with the first entry of its journal.
-- KEYS  session, out, journal
-- ARGV  principal, ttl in ms, call id, data, most open requests, owner, server,
--       most bytes of data of open calls or '', protocolVersion of a scope to be made with the call or '', request keys...
-- Returns { status, protocolVersion, version, delivered, changes of values, 1 when the expiry moved, id or call id },
-- with the status 'unknown' (alone), 'limit', 'attached' or 'opened'.
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
local moved = slide(KEYS[1], KEYS[2], tonumber(ARGV[2]))
local function reply(status, value)
  return { status, session[2], session[3], session[4], session[7] or '0', moved, value }
end

local mine = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
if mine then
  return reply('opened', mine[1])
end
local same = session[5]
if same and has_journal(KEYS[1], same) then
  redis.call('HSET', KEYS[1], 'j:' .. same, 1)
  return reply('attached', same)
end
local ended = session[6] and redis.call('GET', KEYS[1] .. ':ended:' .. ARGV[10])
if ended and has_journal(KEYS[1], ended) then
  return reply('attached', ended)
end
-- The hash has more fields than there are open requests, so they are counted only if there may be too many.
local requests = #ARGV - 9
local most = tonumber(ARGV[5])
if redis.call('HLEN', KEYS[1]) + requests > most then
  each_field(KEYS[1], 'r:', function(key, call_id)
    if has_journal(KEYS[1], call_id) then
      requests = requests + 1
    else
      redis.call('HDEL', KEYS[1], 'r:' .. key, 'o:' .. call_id, 'j:' .. call_id, 'n:' .. call_id,
        'z:' .. call_id)
    end
  end)
  if requests > most then
    return reply('limit', '')
  end
end

-- Calls of little data are bounded by their number. 'z' is at least what the others that are open have: it is counted anew
-- only when that would be too much, since the hash may be large.
local size = #ARGV[4]
local counts = size > 16384
if counts and ARGV[8] ~= '' then
  local others = tonumber(redis.call('HGET', KEYS[1], 'z') or 0)
  if others + size > tonumber(ARGV[8]) then
    others = 0
    each_field(KEYS[1], 'z:', function(call_id, bytes)
      if has_journal(KEYS[1], call_id) then
        others = others + tonumber(bytes)
      end
    end)
    if others > 0 and others + size > tonumber(ARGV[8]) then
      return reply('limit', '')
    end
  end
  redis.call('HSET', KEYS[1], 'z', string.format('%.0f', others + size))
end

local clock = redis.call('TIME')
local id = string.format('%.0f-1', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('XADD', KEYS[3], id, 'd', ARGV[4], 'f', '')
expire_with(KEYS[1], KEYS[3])
redis.call('HSET', KEYS[1], 'o:' .. ARGV[3], ARGV[6], 'r:' .. ARGV[10], ARGV[3])
for i = 11, #ARGV do
  redis.call('HSET', KEYS[1], 'r:' .. ARGV[i], ARGV[3])
end
if counts then
  redis.call('HSET', KEYS[1], 'z:' .. ARGV[3], size)
end
return reply('opened', id)
