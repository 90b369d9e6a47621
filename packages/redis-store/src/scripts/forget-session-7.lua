-- Deletes what is kept of a session, or of a call without one, its history too, and wakes its watchers. What outlived its
-- ended calls may be much: some of that.
-- KEYS  session, out, state, history, once, marks, ended, those that were asked for
-- ARGV  ms to remember what was deleted, how much of what outlived its calls to delete at most
-- Returns { '?', names... }, or { 1 if there was a session, journals of calls, entries of the history, principal or '',
--   how much that outlived its calls is left }.
-- include: ask
-- include: wake
-- include: open
-- include: drop
local repeated = redis.call('GET', KEYS[5])
if repeated then
  return cjson.decode(repeated)
end
local names = names_of_ended(KEYS[7], ARGV[2])
ask_for_ended(names)
ask_for_calls(KEYS[1], 'o:')
if #asked > 1 then
  return asked
end
local calls = 0
each_field(KEYS[1], 'o:', function(call_id)
  local journal = KEYS[1] .. ':call:' .. call_id
  calls = calls + redis.call('UNLINK', journal)
  redis.call('UNLINK', journal .. ':in')
end)
local left, ended = drop_ended(KEYS[1], KEYS[7], names)
local session = redis.call('HMGET', KEYS[1], 'p', 'v')
-- A scope that was made with its call has no state.
local is_session = session[1] and session[2] ~= '0'
local deleted = { is_session and 1 or 0, calls + ended, redis.call('XLEN', KEYS[4]), session[1] or '', left }
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6])
redis.call('SET', KEYS[5], cjson.encode(deleted), 'PX', ARGV[1])
wake(KEYS[1], 'deleted ')
return deleted
