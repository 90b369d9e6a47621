-- Deletes what is kept of a session but what outlived its ended calls, its history too, and wakes its watchers.
-- KEYS  session, out, state, history, once
-- ARGV  ms to remember what was deleted
-- Returns { 1 if there was a session, open calls, entries of the history, principal or '' }.
-- include: open
local repeated = redis.call('GET', KEYS[5])
if repeated then
  return cjson.decode(repeated)
end
local calls = 0
each_field(KEYS[1], 'o:', function(call_id)
  local journal = KEYS[1] .. ':call:' .. call_id
  calls = calls + redis.call('UNLINK', journal)
  redis.call('UNLINK', journal .. ':in')
end)
local principal = redis.call('HGET', KEYS[1], 'p')
local deleted = { principal and 1 or 0, calls, redis.call('XLEN', KEYS[4]), principal or '' }
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[5], cjson.encode(deleted), 'PX', ARGV[1])
redis.call('SPUBLISH', KEYS[1], 'deleted ')
return deleted
