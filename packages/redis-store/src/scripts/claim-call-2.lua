-- Gives an open call to another owner and raises the epoch of its journal, which shuts the old one out.
-- KEYS  session, journal
-- ARGV  call id, owner it is taken from, owner it goes to, data of the claim, id that must stand last or '',
--       what it adds to the count of claims
-- Returns the id of the claim and the count; nil when the call is not open, not that owner's, or another id stands last.
local field = 'o:' .. ARGV[1]
local count = 'n:' .. ARGV[1]
local owner = redis.call('HGET', KEYS[1], field)
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not owner or not last then
  return false
end
-- The repetition of a claim that was applied: its owner appends nothing before it knows of it.
if owner == ARGV[3] and last[2][2] == ARGV[4] then
  return { last[1], tonumber(redis.call('HGET', KEYS[1], count) or 0) }
end
if owner ~= ARGV[2] or ARGV[5] ~= '' and last[1] ~= ARGV[5] then
  return false
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = tonumber(string.match(last[1], '^%d+'))
local id = string.format('%.0f-1', math.max(epoch + 1, now))
redis.call('XADD', KEYS[2], id, 'd', ARGV[4])
redis.call('HSET', KEYS[1], field, ARGV[3])
redis.call('SPUBLISH', KEYS[1], 'call:' .. ARGV[1] .. ' ' .. id)
return { id, redis.call('HINCRBY', KEYS[1], count, ARGV[6]) }
