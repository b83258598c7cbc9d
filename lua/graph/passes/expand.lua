-- SPDX-License-Identifier: Apache-2.0
--- Expand: operations that are made of others (`expand` of their entries) become those, bit for bit, in the graph that
-- is given. What does not change stays the same table.

local ops = require "graph.ops"
local reach = require "graph.reach"
local ssa = require "graph.ssa"

--- @param graph its values and outputs are changed @param asked { live = function(parameter) -> does it train, nil for
-- none; wanted = values whose gradients are wanted as well, or nil; all = true: also where no gradient passes; keep =
-- function(op) -> does it stay as it is, or nil }
-- @return graph, and what took the place of a value: old -> new
return function(graph, asked)
  local live = asked.live or function() return false end
  local passes, old, took = not asked.all and reach.of(graph, live, asked.wanted), graph.values, {}
  local label = graph.label
  graph.values = {}
  for _, op in ipairs(old) do
    for i, input in ipairs(op.inputs) do op.inputs[i] = took[input] or input end
    local expand = ops.table[op.kind].expand
    if expand and (asked.all or passes[op]) and not (asked.keep and asked.keep(op)) then
      graph.label = op.label
      local y = expand(graph, op, ssa.by_role(op), live)
      y.buffer, y.apart, y.name, y.counted = op.buffer, op.apart, op.name, op.counted
      took[op] = y
    else
      op.id = #graph.values + 1
      graph.values[op.id] = op
    end
  end
  for name, value in pairs(graph.outputs) do graph.outputs[name] = took[value] or value end
  graph.label = label
  return graph, took
end
