-- SPDX-License-Identifier: Apache-2.0
--- A graph run value by value by the naive kernels of gen/reference/reference.c: what generated code must equal, bit
-- for bit.

local deferred = require "import.deferred"
local ops = require "graph.ops"
local ssa = require "graph.ssa"

local interpreter = {}

-- The values that `wanted` ones are made of, in order, with what each is last used by.
local function needed(graph, wanted, given)
  local needs, last, list = {}, {}, {}
  local function inputs_of(op)
    if op.kind ~= "select" then return op.inputs end
    return { op.inputs[given[op.given] and 1 or 2] }
  end
  for _, name in ipairs(wanted) do needs[graph.outputs[name]] = true end
  for i = #graph.values, 1, -1 do
    local op = graph.values[i]
    if needs[op] then
      table.insert(list, 1, op)
      for _, input in ipairs(inputs_of(op)) do
        if not needs[input] then last[input] = op end
        needs[input] = true
      end
    end
  end
  return list, last, inputs_of
end

-- Rows of the last dimension; tensors of the checkpoint keep their shape, and are as they are packed.
local function outside(R, op, given)
  if op.kind == "input" then return assert(given[op.name], op.name) end
  local tensor = deferred.value(op.kind == "parameter" and op.tensor or op.make())
  local shape = tensor.shape
  return R.packed(tensor):reshape(shape)
end

--- Run some operations on what is given of their inputs, of as many rows as there are. @param value operation ->
-- matrix;
-- gets what they give
function interpreter.operations(R, list, value)
  for _, op in ipairs(list) do
    op.shape_of = ssa.by_role(op, function(input) return input.shape end)
    value[op] = ops.table[op.kind].run(R, op, ssa.by_role(op, function(input)
      if not value[input] then value[input] = outside(R, input, {}) end
      return value[input]
    end))
    op.shape_of = nil
  end
  return value
end

-- How large a value is that is not left to the collector's own pace, which does not see what tensors hold.
local LARGE = 1 << 16

--- @param R msagen.reference's of a class @param given inputs by name, as matrices [rows,width] @param wanted names of
-- outputs
-- @param watch function(op, matrix) or nil: sees every value @return outputs by name, as matrices
function interpreter.run(R, graph, given, wanted, watch)
  local list, last, inputs_of = needed(graph, wanted, given)
  local value, keep = {}, {}
  for _, name in ipairs(wanted) do keep[graph.outputs[name]] = true end
  for _, op in ipairs(list) do
    local entry = ops.table[op.kind]
    if op.kind == "select" then value[op] = value[inputs_of(op)[1]]
    elseif not entry.run then value[op] = outside(R, op, given)
    else
      op.shape_of = ssa.by_role(op, function(input) return input.shape end)
      value[op] = entry.run(R, op, ssa.by_role(op, function(input) return value[input] end))
      op.shape_of = nil
    end
    if watch then watch(op, value[op]) end
    for _, input in ipairs(inputs_of(op)) do
      if last[input] == op and not keep[input] then value[input] = nil end
    end
    if value[op]:numel() >= LARGE then collectgarbage() end
  end
  local out = {}
  for _, name in ipairs(wanted) do out[name] = value[graph.outputs[name]] end
  return out
end

return interpreter
