local function ask_for_queue(quota)
  ask(string.sub(quota, #KEYS[1] + 2) .. ':queue')
end
local function ask_for_quota(quota)
  ask(string.sub(quota, #KEYS[1] + 2))
  ask_for_queue(quota)
end
