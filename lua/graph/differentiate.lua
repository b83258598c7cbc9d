-- SPDX-License-Identifier: Apache-2.0
--- Differentiate: adds to a graph the operations that give the gradients of tensors that train, by the chain rule from
-- the last value to the first. A value's gradients are added in the order in which they are met, as operations of the
-- layer that meets them; nothing is made that no wanted gradient needs. Operations of a layer LABEL get LABEL_backward.

local fail = require "support.fail"
local kinds = require "graph.kinds"
local ops = require "graph.ops"
local reach = require "graph.reach"
local ssa = require "graph.ssa"

local product = kinds.product

local function backward(label) return (label or "graph") .. "_backward" end

local function same_shape(a, b)
  if #a ~= #b then return false end
  for i, n in ipairs(a) do
    if b[i] ~= n then return false end
  end
  return true
end

-- A gradient in its value's shape.
local function shaped(g, dx, value)
  if same_shape(dx.shape, value.shape) then return dx end
  assert(product(dx.shape) == product(value.shape), "differentiate: as many numbers as the value has expected")
  return g:reshape(dx, { to = value.shape, counted = value.counted })
end

-- Gradients of slices of a value: list of { op = slice, first, count, dx }, in the order met.
local function add_part(g, parts, op, dx)
  for _, part in ipairs(parts) do
    if part.first == op.first and part.count == op.count then
      part.dx = g:add(part.dx, dx)
      return
    end
  end
  parts[#parts + 1] = { op = op, first = op.first, count = op.count, dx = dx }
end

-- The parts as one, if they are one behind the other; of lists of numbers, if they are equally long.
local function joined(g, parts, value)
  local list, values = table.move(parts, 1, #parts, 1, {}), {}
  table.sort(list, function(a, b) return a.first < b.first end)
  local next_one = list[1].first
  for i, part in ipairs(list) do
    if part.first ~= next_one or #value.shape == 1 and part.count ~= list[1].count then return nil end
    next_one, values[i] = part.first + part.count, part.dx
  end
  local count = next_one - list[1].first
  local shape = table.move(value.shape, 1, #value.shape, 1, {})
  shape[1] = count
  local whole = #values > 1 and g:concat(values) or values[1]
  whole = same_shape(whole.shape, shape) and whole or g:reshape(whole, { to = shape, counted = false })
  if count == value.shape[1] then return whole end
  return g:place(whole, { first = list[1].first, to = value.shape, counted = value.counted })
end

-- A value's gradient, of those that were met: nil if there is none. @param met { whole = sum of whole ones, parts }
local function gathered(g, met, value)
  local sum = met.whole
  if #met.parts == 0 then return sum end
  local whole = joined(g, met.parts, value)
  if whole then return sum and g:add(sum, whole) or whole end
  for _, part in ipairs(met.parts) do
    local one = ops.table.slice.gradient(g, part.op, { x = value }, part.dx).x
    sum = sum and g:add(sum, one) or one
  end
  return sum
end

local function refuse(op, entry)
  fail("%s: %s: expected an operation with a gradient, found none: %s", op.label or "graph", op.kind,
    entry.expand and "the graph is not expanded (lua/graph/passes/expand.lua)" or entry.no_gradient
      or "its entry says nothing of it")
end

-- Gradients of the inputs of a value, by role.
local function of_inputs(g, op, dy, passes)
  local entry = ops.table[op.kind]
  if not entry.gradient then refuse(op, entry) end
  return entry.gradient(g, op, ssa.by_role(op), dy, ssa.by_role(op, function(input) return passes[input] or false end))
end

-- Gradients as they are met. @return them by value, function(value, dx), function(slice, gradient of the slice)
local function collection(g)
  local met = {}
  local function of(value)
    met[value] = met[value] or { parts = {} }
    return met[value]
  end
  return met, function(value, dx)
    dx = shaped(g, dx, value)
    of(value).whole = of(value).whole and g:add(of(value).whole, dx) or dx
  end, function(op, dx) add_part(g, of(op.inputs[1]).parts, op, dx) end
end

local function plant_seeds(g, seeds, add)
  local list = {}
  for value in pairs(seeds) do list[#list + 1] = value end
  table.sort(list, function(a, b) return a.id < b.id end)
  for _, value in ipairs(list) do
    local dy = seeds[value]
    g.label = backward(value.label)
    add(value, type(dy) == "string" and (g.inputs[dy] or g:input(dy, value.shape, value.counted)) or dy)
  end
end

--- @param g an expanded graph (lua/graph/passes/expand.lua), which gets the operations
-- @param asked seeds = value -> its gradient, a value of the graph or the name of an input that it gets; live =
-- function(parameter) -> does it train; wanted = list of further values whose gradients are wanted, or nil
-- @return gradients by value: of parameters that train and of `wanted`, as far as a seed depends on them
return function(g, asked)
  local passes = reach.of(g, asked.live or function() return false end, asked.wanted)
  local is_wanted, gradients, label, last = {}, {}, g.label, #g.values
  for _, value in ipairs(asked.wanted or {}) do is_wanted[value] = true end
  local met, add, part = collection(g)
  plant_seeds(g, asked.seeds, add)
  for i = last, 1, -1 do
    local op = g.values[i]
    if passes[op] and met[op] then
      g.label = backward(op.label)
      local dy = gathered(g, met[op], op)
      met[op] = nil
      if is_wanted[op] or op.kind == "parameter" then gradients[op] = dy end
      local found = #op.inputs > 0 and op.kind ~= "slice" and of_inputs(g, op, dy, passes) or {}
      for k, input in ipairs(op.inputs) do
        if passes[input] and op.kind == "slice" then part(op, dy)
        elseif passes[input] and found[op.roles[k]] then add(input, found[op.roles[k]]) end
      end
    end
  end
  g.label = label
  return gradients
end
