-- SPDX-License-Identifier: Apache-2.0
--- How far the layers of lower precision are from float32, found by the interpreter on an image and a prompt.
-- An error is the root of the mean square of the difference over that of float32's values.

local interpreter = require "graph.interpreter"

local layer_errors = {}

-- Operations of lower precision, in order, and by layer.
local function lowered_of(graph)
  local list, layers, by_label = {}, {}, {}
  for _, op in ipairs(graph.values) do
    if op.precision then
      list[#list + 1] = { op = op, precision = op.precision }
      if not by_label[op.label] then
        by_label[op.label] = { layer = op.label, precision = op.precision, own = 0 }
        layers[#layers + 1] = by_label[op.label]
      end
    end
  end
  return list, layers, by_label
end

local function set(list, lower)
  for _, one in ipairs(list) do one.op.precision = lower and one.precision or nil end
end

-- All in float32, each operation of lower precision besides on the same inputs; what the layers give is kept.
local function in_float32(it, list, by_label, exact, ask)
  local precision = {}
  for _, one in ipairs(list) do precision[one.op] = one.precision end
  set(list, false)
  it.watch = function(op, y, value)
    local layer = by_label[op.label]
    if not layer then return end
    layer.last, exact[op.label] = op, y
    if not precision[op] then return end
    op.precision = precision[op]
    layer.own = math.max(layer.own, y:relative_rms(interpreter.again(it.R, op, value)))
    op.precision = nil
  end
  return ask()
end

--- @param it run.interpretation's, of the precision that is asked about; it gets watches of its own
-- @param ask function() that has it compute what is of interest, and gives { { name, matrix }... }, the same inputs
-- each time
-- @return a list of { layer, precision, own = the largest error of its operations, each on float32's inputs,
-- after = the error of what it gives, all layers before it being in their precision }, in order; and one of { name,
-- error } of what was asked
function layer_errors.of(it, ask)
  local list, layers, by_label = lowered_of(it.graph)
  local exact, ends = {}, {}
  local wanted = in_float32(it, list, by_label, exact, ask)
  set(list, true)
  it.watch = function(op, y)
    local layer = by_label[op.label]
    if not layer or layer.last ~= op then return end
    layer.after, exact[op.label] = exact[op.label]:relative_rms(y), nil
  end
  for i, one in ipairs(ask()) do ends[i] = { name = one[1], error = wanted[i][2]:relative_rms(one[2]) } end
  it.watch = nil
  local reached = {}
  for _, layer in ipairs(layers) do
    if layer.last then reached[#reached + 1] = layer end
    layer.last = nil
  end
  return reached, ends
end

local function percent(share) return ("%.3f %%"):format(100 * share) end

--- What layer_errors.of gives as rows of texts, the first one their titles.
function layer_errors.rows(layers, ends)
  local rows = { { "layer", "precision", "its own error", "after it" } }
  for _, one in ipairs(layers) do
    rows[#rows + 1] = { one.layer, one.precision, percent(one.own), percent(one.after) }
  end
  for _, one in ipairs(ends) do rows[#rows + 1] = { one.name, "", "", percent(one.error) } end
  return rows
end

return layer_errors
