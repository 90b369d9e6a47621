-- Begins a scope that holds values alone; an existing one stays as it is.
-- KEYS  session, state, marks
-- ARGV  principal, ms to live after a use
-- Returns 1, or 0 when it exists with another principal.
-- include: scope
if redis.call('EXISTS', KEYS[1]) == 0 then
  begin_scope(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
  use_scope(KEYS[1], KEYS[2], KEYS[3])
end
return redis.call('HGET', KEYS[1], 'p') == ARGV[1] and 1 or 0
