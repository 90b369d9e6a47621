-- Admits, and writes the journal of a call that has ended already.
-- KEYS  session, out, journal
-- ARGV  principal, ttl in ms, call id, data, data of the response, how many ms later that was written, ms to retain,
--       '1' to keep the request key for as long as the journal, version of the state that the call has seen, request key
-- Returns { status, label, version, delivered, 1 when the expiry moved, id or call id },
-- with the status 'unknown' (alone), 'stale', 'attached' or 'recorded'.
-- include: slide
-- include: open
-- include: admit-call
local session, moved, mine, same = admit_call(KEYS, ARGV[1], ARGV[2], ARGV[10])
if not session then
  return { 'unknown' }
end
local function reply(status, value)
  return { status, session[2], session[3], session[4], moved, value }
end
if mine then
  return reply('recorded', mine)
end
if same then
  return reply('attached', same)
end
if tonumber(session[3]) > tonumber(ARGV[9]) then
  return reply('stale', '')
end

local epoch = new_epoch()
redis.call('XADD', KEYS[3], epoch .. '-1', 'd', ARGV[4], 'f', '')
redis.call('XADD', KEYS[3], epoch .. '-2', 'd', ARGV[5], 't', ARGV[6])
redis.call('PEXPIRE', KEYS[3], ARGV[7])
if ARGV[8] == '1' then
  redis.call('SET', KEYS[1] .. ':ended:' .. ARGV[10], ARGV[3], 'PX', ARGV[7])
  redis.call('HSET', KEYS[1], 'e', 1)
end
return reply('recorded', epoch .. '-1')
