-- Gives an open call to another owner, or to nobody, and raises the epoch of its journal, which shuts the old one out.
-- KEYS  session, journal, inbox, state, copy of the journal
-- ARGV  call id, owner it is taken from, owner it goes to, data of the claim, id that must stand last or '',
--       what it adds to the count of claims, id that must stand last in the inbox or '', ms after which the scope expires or ''
-- Returns the id of the claim, the count, and the principal of a call without a session, else '-'; nil when the call is not open, not that owner's, or another id stands last.
-- include: slide
-- include: wake
-- include: shrink
local function last_of(log)
  return redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end
local field = 'o:' .. ARGV[1]
local count = 'n:' .. ARGV[1]
local owner = redis.call('HGET', KEYS[1], field)
local last = last_of(KEYS[2])
if not owner or not last then
  return false
end
local scope = redis.call('HMGET', KEYS[1], 'p', 'v')
local whose = scope[2] == '0' and scope[1] or '-'
-- The repetition of a claim that was applied: its owner appends nothing before it knows of it.
if owner == ARGV[3] and last[2][2] == ARGV[4] then
  return { last[1], tonumber(redis.call('HGET', KEYS[1], count) or 0), whose }
end
if owner ~= ARGV[2] or ARGV[5] ~= '' and last[1] ~= ARGV[5] then
  return false
end
if ARGV[7] ~= '' and (last_of(KEYS[3]) or { '0-0' })[1] ~= ARGV[7] then
  return false
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = tonumber(string.match(last[1], '^%d+'))
local id = string.format('%.0f-1', math.max(epoch + 1, now))
redis.call('XADD', KEYS[2], id, 'd', ARGV[4])
redis.call('HSET', KEYS[1], field, ARGV[3])
if ARGV[3] == '' or ARGV[3] == '-' then
  shrink(KEYS[2], KEYS[5])
end
if ARGV[8] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[8])
  expire_with(KEYS[1], KEYS[2])
  expire_with(KEYS[1], KEYS[3])
  expire_with(KEYS[1], KEYS[4])
end
wake(KEYS[1], 'call:' .. ARGV[1] .. ' ' .. id)
return { id, redis.call('HINCRBY', KEYS[1], count, ARGV[6]), whose }
