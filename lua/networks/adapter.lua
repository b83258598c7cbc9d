-- SPDX-License-Identifier: Apache-2.0
--- An adapter of Medical SAM Adapter (Wu et al. 2023): a map to fewer columns and one back, with an activation between.

local adapter = {}

--- Declare it. @param third the name of a second map down, of the prompt, or nil
function adapter.declare(p, name, width, third)
  local at = p:at(name)
  local hidden = p:size("hidden", p.walk.known and width // 4)
  local maps = { D_fc1 = at:linear("D_fc1", hidden, width), D_fc2 = at:linear("D_fc2", width, hidden) }
  if third then maps[third] = at:linear(third, hidden, width) end
  return maps
end

--- What it gives for x; what that is added to is the caller's.
function adapter.compute(t, maps, x, activation)
  return t:linear(t.g:act(t:linear(x, maps.D_fc1), { f = activation }), maps.D_fc2)
end

return adapter
