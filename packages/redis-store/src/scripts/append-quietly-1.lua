-- Appends one entry to each of several streams that exist, none of which is less or more because of the others.
-- KEYS  streams
-- ARGV  id, data, and how many ms after the time in its id it was written, for each
-- Returns what failed: { place, error or '' when there is no such stream, ... }.
local failed = {}
for i, stream in ipairs(KEYS) do
  local added = redis.pcall('XADD', stream, 'NOMKSTREAM', ARGV[3 * i - 2], 'd', ARGV[3 * i - 1], 't', ARGV[3 * i])
  if type(added) ~= 'string' then
    failed[#failed + 1] = i
    failed[#failed + 1] = added and added.err or ''
  end
end
return failed
