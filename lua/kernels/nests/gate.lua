-- SPDX-License-Identifier: Apache-2.0
--- Channels scaled by what the mean of all tokens says (squeeze and excitation): row-wise operations, the mean of their
-- result, an MLP on that one row, and the product of both.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"

local input, rows_of = layers.input, layers.rows_of

local nest = {}

local PANEL = 16 -- columns of the mean that are a unit of work

local function by_strips(layer, value)
  return { variable = "t", to = rows_of(value), by = layer.ctx.strip_of(value), units = { name = "tokens" } }
end

-- What is before the mean, a strip of tokens at a time.
local function before(layer, ops, x, value)
  local step, loop = layer.step, by_strips(layer, value)
  local pool = step:pool()
  step:stage("units", function(body)
    body:each(loop, function(inner, t)
      local work = rows.new(layer, inner, pool, loop.by, ops)
      work:place(x, layer:buffer(x):row(t), 0, false)
      work:bind(value, layer:buffer(value):row(t))
      work:run()
    end)
  end)
end

local function mean(layer, from, count, C, to)
  local step, K = layer.step, layer.K
  step:stage("units", function(body)
    body:each({ variable = "column", to = kernels.round16(C), by = PANEL, units = { name = "columns" } },
      function(inner, column)
        inner:zero(to + column, PANEL)
        inner:each({ variable = "place", to = count }, function(each, place)
          each:call(K:rows("add", { rows = 1, C = PANEL, ldx = from.storage.stride, ldy = to.storage.stride }),
            from:row(place) + column, to + column)
        end)
        inner:call(K:rows("scale", { rows = 1, C = PANEL, ldx = to.storage.stride, s = 1 / count }), to + column)
      end)
  end)
end

function nest.gate(layer)
  local one, step, K = layer.group, layer.step, layer.K
  local average, product = one:op "column_mean", one:op "multiply"
  local value, factor, count = input(average, "x"), input(product, "y"), rows_of(input(average, "x"))
  assert(value.shape[1] == 1, "gate: an image at a time")
  local C, ld, first = value.shape[4], layers.stride(value.shape[4]), one:closure(value)
  local done = { [average] = true, [product] = true }
  for op in pairs(first) do done[op] = true end
  local row, from, to = step.shared:take("mean", ld, ld), layer:buffer(value), layer:buffer(one.outputs[2])
  before(layer, one:ordered(first), one.inputs[1], value)
  mean(layer, from, count, C, row)
  local gate = rows.new(layer, nil, step.shared, 1, layers.without(one, done))
  step:stage("zero", function(body)
    gate.body = body
    gate:place(average, row, 0, false)
    gate:run()
  end)
  local loop = by_strips(layer, value)
  step:stage("units", function(body)
    body:each(loop, function(inner, t)
      inner:call(K:rows("multiply", { rows = loop.by, C = C, ldx = from.storage.stride, ldz = to.storage.stride }),
        from:row(t), gate.views[factor], to:row(t))
    end)
  end)
end

return {
  { name = "gate", lower = nest.gate, kind = function() return "gate" end,
    fits = function(one) return one:op "column_mean" ~= nil end },
}
