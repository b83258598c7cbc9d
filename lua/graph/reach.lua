-- SPDX-License-Identifier: Apache-2.0
--- Which values of a graph gradients pass through.

local reach = {}

--- The values that depend on a tensor that trains, or on one whose gradient is wanted, and these themselves.
-- @param live function(parameter) -> does it train @param wanted list of values, or nil @return set of values
function reach.of(graph, live, wanted)
  local set = {}
  for _, value in ipairs(wanted or {}) do set[value] = true end
  for _, op in ipairs(graph.values) do
    set[op] = set[op] or op.kind == "parameter" and live(op) or nil
    for _, input in ipairs(op.inputs) do set[op] = set[op] or set[input] end
  end
  return set
end

return reach
