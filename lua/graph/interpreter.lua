-- SPDX-License-Identifier: Apache-2.0
--- A graph run value by value by the naive kernels of gen/reference/reference.c: what generated code must equal, bit
-- for bit.
--
-- What an operation's run is told beside its inputs, its context: { given = inputs of the graph by name, count = what
-- is counted are so many, the rest of the rows being filling, or nil where values have as many rows as there are;
-- counted = by role, is an input counted }.

local deferred = require "import.deferred"
local kinds = require "graph.kinds"
local ops = require "graph.ops"
local ssa = require "graph.ssa"

local interpreter = {}

-- The values that `wanted` ones are made of, in order, with what each is last used by. @param known values that are
-- there
local function needed(graph, wanted, given, known)
  local needs, last, list = {}, {}, {}
  local function inputs_of(op)
    if op.kind == "select" then return { op.inputs[given[op.given] and 1 or 2] } end
    if op.kind == "taken" and (given[op.given] ~= nil) ~= op.holds then return {} end
    return op.inputs
  end
  for _, name in ipairs(wanted) do needs[graph.outputs[name]] = true end
  for i = #graph.values, 1, -1 do
    local op = graph.values[i]
    if needs[op] and not known[op] then
      table.insert(list, 1, op)
      for _, input in ipairs(inputs_of(op)) do
        if not needs[input] then last[input] = op end
        needs[input] = true
      end
    end
  end
  return list, last, inputs_of
end

-- Is an input one that may be left out? Its gradients ask for what is made of it, too, and times 0 anything will do.
local function may_lack(graph, name)
  for _, op in ipairs(graph.values) do
    if op.kind == "taken" and op.given == name then return true end
  end
end

-- Rows of the last dimension; tensors of the checkpoint keep their shape, and are as they are packed. What is given for
-- one is taken in its place.
local function outside(R, op, given, graph)
  if op.kind == "input" then
    if not given[op.name] and graph and may_lack(graph, op.name) then
      return R.packed(kinds.zeros(kinds.rows_of(op), op.shape[#op.shape]))
    end
    return assert(given[op.name], op.name)
  end
  if op.kind == "parameter" and given[op.name] then return given[op.name] end
  local tensor = deferred.value(op.kind == "parameter" and op.tensor or op.make())
  local shape = tensor.shape
  return R.packed(tensor):reshape(shape)
end

-- What an operation gives of what is in `value`.
local function computed(R, op, value, context)
  op.shape_of = ssa.by_role(op, function(input) return input.shape end)
  context.counted = ssa.by_role(op, function(input) return input.counted end)
  local y = ops.table[op.kind].run(R, op, ssa.by_role(op, function(input) return value[input] end), context)
  op.shape_of = nil
  return y
end

--- What an operation gives of its inputs' values: once more, changed, within a watch. @param value operation -> matrix
function interpreter.again(R, op, value) return computed(R, op, value, { given = {} }) end

--- Run some operations on what is given of their inputs, of as many rows as there are. @param value operation ->
-- matrix;
-- gets what they give
function interpreter.operations(R, list, value)
  for _, op in ipairs(list) do
    for _, input in ipairs(op.inputs) do value[input] = value[input] or outside(R, input, {}) end
    value[op] = computed(R, op, value, { given = {} })
  end
  return value
end

-- How large a value is that is not left to the collector's own pace, which does not see what tensors hold.
local LARGE = 1 << 16

--- @param R msagen.reference's of a class @param given inputs by name, as matrices [rows,width] @param wanted names of
-- outputs
-- @param watch function(op, matrix, value) or nil: sees every value, and those of its inputs by operation
-- @param more nil, or { count = how many of what is counted there are, where what is given has rows beyond them;
-- known = values by operation that are there, which gets those that are computed: for another run of the same inputs }
-- @return outputs by name, as matrices
function interpreter.run(R, graph, given, wanted, watch, more)
  local known, context = more and more.known, { given = given, count = more and more.count }
  local list, last, inputs_of = needed(graph, wanted, given, known or {})
  local value, keep = known or {}, {}
  for _, name in ipairs(wanted) do keep[graph.outputs[name]] = true end
  for _, op in ipairs(list) do
    if op.kind == "select" then value[op] = value[inputs_of(op)[1]]
    elseif not ops.table[op.kind].run then value[op] = outside(R, op, given, graph)
    else value[op] = computed(R, op, value, context)
    end
    if watch then watch(op, value[op], value) end
    for _, input in ipairs(known and {} or inputs_of(op)) do
      if last[input] == op and not keep[input] then value[input] = nil end
    end
    if value[op]:numel() >= LARGE then collectgarbage() end
  end
  local out = {}
  for _, name in ipairs(wanted) do out[name] = value[graph.outputs[name]] end
  return out
end

return interpreter
