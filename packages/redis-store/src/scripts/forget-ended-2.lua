-- Deletes some of what outlived the ended calls of a session, and says how much.
-- KEYS  session, once
-- ARGV  ms to remember what was deleted, how much to delete at most
-- Returns { how much is left, journals deleted }.
-- include: ended
local repeated = redis.call('GET', KEYS[2])
if repeated then
  return cjson.decode(repeated)
end
local reply = { drop_ended(KEYS[1], tonumber(ARGV[2])) }
redis.call('SET', KEYS[2], cjson.encode(reply), 'PX', ARGV[1])
return reply
