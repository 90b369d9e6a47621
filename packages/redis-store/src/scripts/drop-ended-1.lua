-- Deletes some of what outlived the calls of a session that is gone.
-- KEYS  session
-- ARGV  most
-- Returns how many are left.
-- include: ended
return (drop_ended(KEYS[1], tonumber(ARGV[1])))
