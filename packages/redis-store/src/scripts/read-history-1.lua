-- Reads a page of a history.
-- KEYS  history
-- ARGV  first id, last id, most entries
-- Returns { { id, { 'l', log, 'i', id in its log, 'd', data } }, ... }.
return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
