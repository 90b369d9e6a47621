-- The nodes, and how long ago each has beaten.
-- KEYS  nodes
-- Returns { node, ms, ... }.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #reply, 2 do
  reply[i] = string.format('%.0f', now - tonumber(reply[i]))
end
return reply
