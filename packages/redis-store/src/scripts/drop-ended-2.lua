-- Deletes some of what outlived the calls of a session that is gone.
-- KEYS  session, ended, those that were asked for
-- ARGV  most
-- Returns { '?', names... }, or how many are left.
-- include: ask
-- include: drop
local names = names_of_ended(KEYS[2], ARGV[1])
ask_for_ended(names)
if #asked > 1 then
  return asked
end
return (drop_ended(KEYS[1], KEYS[2], names))
