-- Whether a session may be used by a server: it is its own, or nobody's, or it was not asked ('-').
local function is_of(server, asked)
  return asked == '-' or not server or server == asked
end
