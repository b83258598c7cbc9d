-- SPDX-License-Identifier: Apache-2.0
--- An adapter of Medical SAM Adapter (Wu et al. 2023): a map to fewer columns and one back.

--- Declare it. @param third the name of a second map down, of the prompt, or nil
return function(p, name, width, third)
  local at = p:at(name)
  local hidden = p:size("hidden", p.walk.known and width // 4)
  local adapter = { D_fc1 = at:linear("D_fc1", hidden, width), D_fc2 = at:linear("D_fc2", width, hidden) }
  if third then adapter[third] = at:linear(third, hidden, width) end
  return adapter
end
