-- Reads what watchers of a scope were left word of, where the server has no pub/sub.
-- KEYS  news
-- ARGV  id after which, or '' to read none
-- Returns { id of the last one, topic and value, ... }.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local reply = { last and last[1] or '0-0' }
if last and ARGV[1] ~= '' then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')) do
    reply[#reply + 1] = entry[2][2]
  end
end
return reply
