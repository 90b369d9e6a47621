-- The nodes, how long ago each has beaten, and what it says about itself.
-- KEYS  nodes, what they say about themselves
-- Returns { node, ms or 'Infinity', about or '', ... }.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local beats = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
local reply = {}
for i = 1, #beats, 2 do
  reply[#reply + 1] = beats[i]
  local beat = tonumber(beats[i + 1])
  reply[#reply + 1] = beat > 0 and string.format('%.0f', now - beat) or 'Infinity'
  reply[#reply + 1] = redis.call('HGET', KEYS[2], beats[i]) or ''
end
return reply
