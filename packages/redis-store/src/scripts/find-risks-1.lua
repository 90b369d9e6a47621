-- Asks the server for what may lose data that was acknowledged, or keep nodes from hearing each other.
-- KEYS  any key of the server, which also names a channel
-- Returns { redis_version, maxmemory_policy, aof_enabled, why SPUBLISH is refused, why PUBSUB SHARDNUMSUB is }; '' for
-- what can't be found out, or is not refused.
local info = redis.pcall('INFO')
local function field(name)
  return type(info) == 'string' and string.match(info, '\n' .. name .. ':([%w.-]+)') or ''
end
local function refusal(...)
  local reply = redis.pcall(...)
  return type(reply) == 'table' and reply.err or ''
end
return {
  field('redis_version'), field('maxmemory_policy'), field('aof_enabled'),
  refusal('SPUBLISH', KEYS[1], 'asked '), refusal('PUBSUB', 'SHARDNUMSUB', KEYS[1]),
}
