-- Admits, and opens a call with the first entry of its journal.
-- KEYS  session, out, open, journal
-- ARGV  principal, ttl in ms, call id, data, most open requests, owner, request keys...
-- Returns { status, label, version, delivered, 1 when the expiry moved, id or call id },
-- with the status 'unknown' (alone), 'limit', 'attached' or 'opened'.
-- include: slide
local session = redis.call('HMGET', KEYS[1], 'p', 'l', 'v', 'd')
if session[1] ~= ARGV[1] then
  return { 'unknown' }
end
local ttl = tonumber(ARGV[2])
local moved = slide(KEYS[1], KEYS[2], KEYS[3], ttl)
local function reply(status, value)
  return { status, session[2], session[3], session[4], moved, value }
end

local mine = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1]
if mine then
  return reply('opened', mine[1])
end

-- A journal may have expired under an owner that died; its requests are not open any more.
local function holds(call_id)
  return redis.call('EXISTS', KEYS[1] .. ':call:' .. call_id) == 1
end
local first = redis.call('HGET', KEYS[3], ARGV[7])
if first and holds(first) then
  redis.call('HSET', KEYS[1], 'j:' .. first, 1)
  return reply('attached', first)
end
local ended = redis.call('GET', KEYS[1] .. ':ended:' .. ARGV[7])
if ended and holds(ended) then
  return reply('attached', ended)
end
local requests = #ARGV - 6
local open = redis.call('HLEN', KEYS[3])
if open + requests > tonumber(ARGV[5]) then
  local calls = redis.call('HGETALL', KEYS[3])
  for i = 1, #calls, 2 do
    if not holds(calls[i + 1]) then
      redis.call('HDEL', KEYS[3], calls[i])
      redis.call('HDEL', KEYS[1], 'o:' .. calls[i + 1], 'j:' .. calls[i + 1])
    end
  end
  open = redis.call('HLEN', KEYS[3])
  if open + requests > tonumber(ARGV[5]) then
    return reply('limit', '')
  end
end

local clock = redis.call('TIME')
local id = string.format('%.0f-1', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('XADD', KEYS[4], id, 'd', ARGV[4], 'f', '')
redis.call('PEXPIRE', KEYS[4], ttl)
redis.call('HSET', KEYS[1], 'o:' .. ARGV[3], ARGV[6])
for i = 7, #ARGV do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[3])
end
if open == 0 then
  redis.call('PEXPIRE', KEYS[3], ttl)
end
return reply('opened', id)
