-- Moves the delivery mark of a session forward, never back.
-- KEYS  session
-- ARGV  id
-- Returns 1 when it moved.
local delivered = redis.call('HGET', KEYS[1], 'd')
if not delivered then
  return 0
end
local time, seq = string.match(ARGV[1], '^(%d+)-(%d+)$')
local old_time, old_seq = string.match(delivered, '^(%d+)-(%d+)$')
time, seq, old_time, old_seq = tonumber(time), tonumber(seq), tonumber(old_time), tonumber(old_seq)
if time < old_time or time == old_time and seq <= old_seq then
  return 0
end
redis.call('HSET', KEYS[1], 'd', ARGV[1])
return 1
