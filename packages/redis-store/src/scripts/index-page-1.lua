-- Reads a page of an index in the order of expiry. Whoever moves while pages are read moves towards the end,
-- so nobody is missed.
-- KEYS  index
-- ARGV  most sessions, score and id of the last one of the page before, or nothing for the first page
-- Returns { score of the last one or '', session id, ... }.
local from = 0
if ARGV[2] then
  if redis.call('ZSCORE', KEYS[1], ARGV[3]) == ARGV[2] then
    from = redis.call('ZRANK', KEYS[1], ARGV[3]) + 1
  else
    -- It left or moved; those with the same score may come twice.
    from = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
  end
end
local ids = redis.call('ZRANGE', KEYS[1], from, from + ARGV[1] - 1)
local last = ids[#ids]
return { last and redis.call('ZSCORE', KEYS[1], last) or '', unpack(ids) }
