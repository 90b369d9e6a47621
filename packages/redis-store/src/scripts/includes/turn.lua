-- What is told of a call whose turn has come: the call, ms that it has waited, when that is told, and the names of its quotas.
local function turn_of(call, wait, told_at, now)
  local names = {}
  for i, quota in ipairs(wait.quotas) do
    names[i] = string.sub(quota.key, #KEYS[1] + 2)
  end
  return { call, string.format('%.0f', now - wait.at), told_at, table.concat(names, ' ') }
end
