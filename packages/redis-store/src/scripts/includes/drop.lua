-- Of what outlived the calls of a session, some names: what goes first.
local function names_of_ended(list, most)
  return redis.call('ZRANGE', list, 0, most - 1)
end

-- An inbox may be there again although its call has ended.
local function ask_for_ended(names)
  for _, name in ipairs(names) do
    ask(name)
    ask(name .. ':in')
  end
end

-- Deletes those; returns how many are left, and how many journals of calls it has deleted.
local function drop_ended(session, list, names)
  local journals = 0
  for _, name in ipairs(names) do
    local key = session .. ':' .. name
    local deleted = redis.call('UNLINK', key)
    redis.call('UNLINK', key .. ':in')
    if string.sub(name, 1, 5) == 'call:' then
      journals = journals + deleted
    end
  end
  if #names > 0 then
    redis.call('ZREMRANGEBYRANK', list, 0, #names - 1)
  end
  return redis.call('ZCARD', list), journals
end

-- The journals and inboxes of those calls.
local function ask_for_calls(session, prefix)
  each_field(session, prefix, function(call_id)
    ask('call:' .. call_id)
    ask('call:' .. call_id .. ':in')
  end)
end
