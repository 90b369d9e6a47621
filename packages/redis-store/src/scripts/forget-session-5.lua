-- Deletes all that is kept of a session, its history too, and wakes its watchers.
-- KEYS  session, out, state, history, once
-- ARGV  ms to remember what was deleted
-- Returns { 1 if there was a session, calls, entries of the history, principal or '' }.
-- include: open
local repeated = redis.call('GET', KEYS[5])
if repeated then
  return cjson.decode(repeated)
end
local calls = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1] .. ':ended', 0, -1)) do
  local call_id = string.match(name, '^call:([^:]+)$')
  if call_id then
    calls[call_id] = true
  else
    redis.call('UNLINK', KEYS[1] .. ':' .. name)
  end
end
each_field(KEYS[1], 'o:', function(call_id)
  calls[call_id] = true
end)
for _, entry in ipairs(redis.call('XRANGE', KEYS[4], '-', '+')) do
  local call_id = string.match(entry[2][2], '^call:([^:]+)')
  if call_id then
    calls[call_id] = true
  end
end
local principal = redis.call('HGET', KEYS[1], 'p')
local deleted = { principal and 1 or 0, 0, redis.call('XLEN', KEYS[4]), principal or '' }
for call_id in pairs(calls) do
  local journal = KEYS[1] .. ':call:' .. call_id
  deleted[2] = deleted[2] + redis.call('UNLINK', journal)
  redis.call('UNLINK', journal .. ':in')
end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[1] .. ':ended')
redis.call('SET', KEYS[5], cjson.encode(deleted), 'PX', ARGV[1])
redis.call('SPUBLISH', KEYS[1], 'deleted ')
return deleted
