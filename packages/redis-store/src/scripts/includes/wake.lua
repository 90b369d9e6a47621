-- How nodes wake each other. The line is another one where the server has another way, see wake-ups.ts.
local PUBLISH, COUNT = 'SPUBLISH', 'SHARDNUMSUB'
local function wake(channel, news)
  return PUBLISH and redis.call(PUBLISH, channel, news) or 0
end
-- How many connections listen; nil where that may not be asked, or can't be told.
local function listeners(channel)
  return COUNT and redis.pcall('PUBSUB', COUNT, channel)[2] or nil
end
