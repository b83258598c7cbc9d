-- SPDX-License-Identifier: Apache-2.0
--- Memory between layers: each value that one layer leaves to another gets a buffer of the arena. It takes the buffer
-- of a value that the layer takes and nobody needs any more, where that has as many rows of the same width, before all
-- the one that has the value's own name; else a new one, by the name that the network gives it (Graph:named). What is
-- wanted of the graph, and what comes from outside, keeps its own.

local closed = require "support.closed"
local kernels = require "kernels.kernels"
local types = require "graph.types"

local buffers = {}

local function rows_of(value)
  local rows = 1
  for i = 1, #value.shape - 1 do rows = rows * value.shape[i] end
  return rows, value.shape[#value.shape]
end

buffers.rows_of = rows_of

-- Elements of a value's buffer and the stride of its rows. The weights of a product lie in panels, maps of pixels
-- densely, a single row is filled up to whole vectors.
local function layout(value)
  local rows, width = rows_of(value)
  if value.kind == "concat" then return (rows + 15) // 16 * 16 * width, 16 end
  if value.kind == "reshape" or value.kind == "pixels" then return rows * width, width end
  if rows == 1 then return kernels.round16(width), kernels.round16(width) end
  return rows * kernels.stride(width), kernels.stride(width)
end

local function last_use(graph, groups)
  local last, number = {}, {}
  for i, one in ipairs(groups) do number[one.label] = i end
  for i, one in ipairs(groups) do
    for _, value in ipairs(one.inputs) do last[value] = i end
  end
  for _, value in pairs(graph.outputs) do last[value] = math.huge end
  for _, value in pairs(graph.inputs) do last[value] = math.huge end
  return last
end

--- Give values their buffers. @param groups group.list's @return value -> { name, type, bytes, stride of rows in
-- elements }
function buffers.assign(graph, groups)
  local of, last, names, output = {}, last_use(graph, groups), {}, {}
  local function new(value)
    local name = value.buffer or value.name or error(("buffers: layer %s: a value without a name"):format(value.label))
    local elements, stride = layout(value)
    local bytes = types.bytes(value.type, elements)
    local known = names[name]
    -- A name that is there already is free again, or another input's: so one layer's slice is what another left whole.
    if known and known.type == value.type and known.stride == stride and known.bytes >= bytes then return known end
    if known then error("buffers: " .. name .. ": expected rows as other values of that name have, found others") end
    names[name] = { name = name, type = value.type, bytes = bytes, stride = stride }
    return names[name]
  end
  for _, name in ipairs(closed.sorted(graph.outputs)) do
    local value = graph.outputs[name]
    output[value], of[value] = true, new(value)
  end
  for _, value in ipairs(graph.values) do
    if value.kind == "input" then of[value] = new(value) end
  end
  for i, one in ipairs(groups) do
    local taken = {}
    for _, value in ipairs(one.outputs) do
      local rows, width = rows_of(value)
      local function take(named)
        for _, input in ipairs((output[value] or value.apart) and {} or one.inputs) do
          local r, w = rows_of(input)
          if not of[value] and not taken[input] and last[input] == i and r == rows and w == width
            and input.type == value.type and value.kind ~= "concat"
            and (not named or of[input].name == value.buffer) then
            of[value], taken[input] = of[input], true
          end
        end
      end
      take(true)
      take(false)
      of[value] = of[value] or new(value)
    end
  end
  return of
end

return buffers
