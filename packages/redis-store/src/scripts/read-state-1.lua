-- Reads the state entries above a version, lowest first.
-- KEYS  session
-- ARGV  version
-- Returns { key, version, data, ... }.
-- include: state
return collect_state(KEYS[1], tonumber(ARGV[1]), {})
