-- A state entry is the field 's:<key>' with '<version>@<ms since 1970> <bytes of nonce> <nonce><data>'.
local function encode_state(version, now, nonce, data)
  return version .. '@' .. now .. ' ' .. #nonce .. ' ' .. nonce .. data
end

local function state_clock()
  local clock = redis.call('TIME')
  return string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
end

local function decode_state(value)
  local version, size, at = string.match(value, '^(%d+)@?%d* (%d+) ()')
  return tonumber(version), string.sub(value, at, at + size - 1), string.sub(value, at + size)
end

-- Appends key, version and data of every entry above `after` to `reply`, lowest version first.
local function collect_state(session, after, reply)
  local fields = redis.call('HGETALL', session)
  local entries = {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 's:' then
      local version, _, data = decode_state(fields[i + 1])
      if version > after then
        entries[#entries + 1] = { version, string.sub(fields[i], 3), data }
      end
    end
  end
  table.sort(entries, function(a, b) return a[1] < b[1] end)
  for _, entry in ipairs(entries) do
    reply[#reply + 1] = entry[2]
    reply[#reply + 1] = entry[1]
    reply[#reply + 1] = entry[3]
  end
  return reply
end
