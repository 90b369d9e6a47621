-- Asks the server for what it is, for what may lose data that was acknowledged, and for how nodes can wake each other there.
-- KEYS  any key of the server, which also names a channel
-- ARGV  '1' when PUBLISH is needed although SPUBLISH is not refused
-- Returns names and values: fields of INFO, and for 'SPUBLISH', 'PUBLISH' and 'SHARDNUMSUB' why they are refused; '' for what can't
-- be found out, or is not refused.
local info = redis.pcall('INFO')
local reply = {}
local function add(name, value)
  reply[#reply + 1] = name
  reply[#reply + 1] = value
end
for _, name in ipairs({ 'redis_version', 'valkey_version', 'maxmemory_policy', 'aof_enabled', 'cluster_enabled' }) do
  add(name, type(info) == 'string' and string.match(info, '\n' .. name .. ':([%w.-]+)') or '')
end
local function refusal(...)
  local answer = redis.pcall(...)
  return type(answer) == 'table' and answer.err or ''
end
local refused = refusal('SPUBLISH', KEYS[1], 'asked ')
add('SPUBLISH', refused)
-- What a server refuses it may also write down, so only what is needed is tried.
add('PUBLISH', (refused ~= '' or ARGV[1] == '1') and refusal('PUBLISH', KEYS[1], 'asked ') or '')
add('SHARDNUMSUB', refusal('PUBSUB', 'SHARDNUMSUB', KEYS[1]))
return reply
