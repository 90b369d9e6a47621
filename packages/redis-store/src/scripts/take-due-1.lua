-- Takes the calls that are due, the earliest first: until they are removed, they are due again later.
-- KEYS  calls by when they are due
-- ARGV  now, when they are due again, both in ms since 1970; most calls
-- Returns { the earliest time that is left or '', entries... }.
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, entry in ipairs(due) do
  redis.call('ZADD', KEYS[1], ARGV[2], entry)
end
local earliest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
table.insert(due, 1, earliest[2] or '')
return due
