-- Deletes a session, its standalone log and its open calls, and wakes its watchers. Journals of
-- closed calls can't be read without the session, and expire soon.
-- KEYS  session, out, once
-- ARGV  principal, ms to remember the nonce
-- Returns 1, or 0 when there is no such session of this principal.
-- include: open
if redis.call('EXISTS', KEYS[3]) == 1 then
  return 1
end
if redis.call('HGET', KEYS[1], 'p') ~= ARGV[1] then
  return 0
end
each_field(KEYS[1], 'o:', function(call_id)
  local journal = KEYS[1] .. ':call:' .. call_id
  redis.call('UNLINK', journal, journal .. ':in')
end)
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[1] .. ':state')
redis.call('SET', KEYS[3], 1, 'PX', ARGV[2])
redis.call('SPUBLISH', KEYS[1], 'deleted ')
return 1
