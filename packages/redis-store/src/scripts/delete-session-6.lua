-- Deletes a session, its standalone log, its open calls, and some of what outlived its others; and wakes its watchers.
-- KEYS  session, out, state, once, marks, ended, those that were asked for
-- ARGV  principal, ms to remember the nonce, how much that outlived calls to delete at most,
--       server, '1' to leave a session alone that is in use: a call is open in it, or a node listens to its wake-ups
-- Returns { '?', names... }, or how much of that is left, or nil when there is no such session of this principal and server; -1 when it is in use.
-- include: ask
-- include: wake
-- include: open
-- include: drop
-- include: server
local repeated = redis.call('EXISTS', KEYS[4]) == 1
local session = redis.call('HMGET', KEYS[1], 'p', 'm')
if not repeated and (session[1] ~= ARGV[1] or not is_of(session[2], ARGV[4])) then
  return false
end
local names = names_of_ended(KEYS[6], ARGV[3])
ask_for_ended(names)
if not repeated then
  ask_for_calls(KEYS[1], 'o:')
end
if #asked > 1 then
  return asked
end
if repeated then
  return (drop_ended(KEYS[1], KEYS[6], names))
end
if ARGV[5] == '1' then
  -- Whoever may not ask how many listen knows of calls only.
  local heard = listeners(KEYS[1])
  local used = heard ~= nil and heard > 0
  each_field(KEYS[1], 'o:', function(call_id)
    used = used or has_journal(KEYS[1], call_id)
  end)
  if used then
    return -1
  end
end
each_field(KEYS[1], 'o:', function(call_id)
  local journal = KEYS[1] .. ':call:' .. call_id
  redis.call('UNLINK', journal, journal .. ':in')
end)
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[5])
redis.call('SET', KEYS[4], 1, 'PX', ARGV[2])
wake(KEYS[1], 'deleted ')
return (drop_ended(KEYS[1], KEYS[6], names))
