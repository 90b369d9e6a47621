-- Every key that a script touches is one of its KEYS. One that is only found out within is asked for, before anything is
-- changed: the script returns { '?', names... }, which are what the keys end with behind KEYS[1] and a colon, and is run again
-- with them.
local given
local asked = { '?' }
local function ask(name)
  if not given then
    given = {}
    for _, key in ipairs(KEYS) do
      given[key] = true
    end
  end
  if not given[KEYS[1] .. ':' .. name] then
    asked[#asked + 1] = name
  end
end
