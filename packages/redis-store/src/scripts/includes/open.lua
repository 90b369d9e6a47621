-- What is open is in the hash of the session: 'o:<call id>' the owner of a call, 'r:<request key>' the call of a request,
-- 'j:<call id>' that another request has joined it, 'z:<call id>' the bytes of its request if these are many, and 'z' as
-- many as all of those have, or more. Calls visit(name, value) for each field with a prefix;
-- the values of the others, which may be large, are not read.
local function each_field(session, prefix, visit)
  for _, field in ipairs(redis.call('HKEYS', session)) do
    if string.sub(field, 1, #prefix) == prefix then
      visit(string.sub(field, #prefix + 1), redis.call('HGET', session, field))
    end
  end
end

-- A journal may have expired under an owner that died; its requests are not open any more.
local function has_journal(session, call_id)
  return redis.call('EXISTS', session .. ':call:' .. call_id) == 1
end
