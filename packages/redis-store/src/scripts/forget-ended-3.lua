-- Deletes some of what outlived the ended calls of a session, and says how much.
-- KEYS  session, once, ended, those that were asked for
-- ARGV  ms to remember what was deleted, how much to delete at most
-- Returns { '?', names... }, or { how much is left, journals deleted }.
-- include: ask
-- include: drop
local repeated = redis.call('GET', KEYS[2])
if repeated then
  return cjson.decode(repeated)
end
local names = names_of_ended(KEYS[3], ARGV[2])
ask_for_ended(names)
if #asked > 1 then
  return asked
end
local reply = { drop_ended(KEYS[1], KEYS[3], names) }
redis.call('SET', KEYS[2], cjson.encode(reply), 'PX', ARGV[1])
return reply
