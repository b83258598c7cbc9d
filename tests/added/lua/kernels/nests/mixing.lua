-- SPDX-License-Identifier: Apache-2.0
--- The mixer's layers: a depthwise convolution and what follows it row by row; attention in windows, a window a unit.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local projections = require "lower.projections"
local rows = require "lower.rows"
local tables = require "lower.tables"

local input = layers.input

local nest = {}

-- The nine places of w [c,1,3,3], a row each.
local function taps(layer, w)
  local C, role = w.shape[1], layer.parts:role(w)
  return layer.parts:other(role, function()
    layer.segment:rows(role, 9, C, kernels.round16(C), function()
      return layer.parts.tensor_of(w):reshape { C, 9 }:transpose():rename(w.name)
    end, layer.parts.sources_of(w))
  end)
end

function nest.depthwise(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "depthwise"
  local x, value, shape = one.inputs[1], one.outputs[1], op.shape
  local slices, height, width, C = table.unpack(shape)
  local from, to, ld, after = layer:buffer(x), layer:buffer(value), layers.stride(C), {}
  for _, other in ipairs(one.ops) do
    if other ~= op then after[#after + 1] = other end
  end
  local across = (width + 2) * ld
  local border, pool = step.shared:take("border", (height + 2) * across, ld), step:pool()
  local by_row = { variable = "y", to = height, units = { name = "rows" } }
  local y_of_row = pool:take("convolved", width * ld, ld)
  local kernel = layer.K:depthwise { columns = width, C = C, ldx = ld, ldy = ld, across = across }
  step:stage("zero", function(body) body:zero(border, (height + 2) * across) end)
  step:around("slice", slices, function(slice)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        inner:copy((border + ((y + 1) * (width + 2) + 1) * ld):of_row(y), from:row((slice * height + y) * width),
          width * ld)
      end)
    end)
    step:stage("units", function(body)
      body:each(by_row, function(inner, y)
        inner:call(kernel, border + y * across, step:part(taps(layer, input(op, "w"))),
          step:part(layer.parts:vector(input(op, "bias"))), y_of_row)
        local work = rows.new(layer, inner, pool, width, after)
        work:place(op, y_of_row, 0, true)
        work:place(x, from:row((slice * height + y) * width), 0, layer:gives_up(x))
        work:bind(value, to:row((slice * height + y) * width))
        work:run()
      end)
    end)
  end)
end

function nest.windows(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "biased_attention"
  local x, value, norm = one.inputs[1], one.outputs[1], one:op "layernorm"
  local slices, height, width, C = table.unpack(value.shape)
  local from, ld, window, after = layer:buffer(x), layers.stride(C), op.window, {}
  local before = one:closure(op)
  for _, other in ipairs(one.ops) do
    if not before[other] then after[#after + 1] = other end
  end
  assert(layer:buffer(value).storage == from.storage, "a window is written where it was read")
  local a, pool, across = projections.of(layer, op, norm), step:pool(), width // window
  local count = window * window
  local here, n, o = pool:take("here", count * ld, ld), pool:take("n", count * ld, ld), pool:take("o", count * ld, ld)
  step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * (height // window) * across, units = { name = "windows" } },
      function(inner, unit)
        local first = inner:let("first", unit // across * (window * width) + unit % across * window)
        inner:each({ variable = "r", to = window }, function(each, r)
          each:copy(here + r * (window * ld), from + (first + r * width) * ld, window * ld)
        end)
        inner:call(layer.K:layernorm { rows = count, C = C, ldx = ld, ldy = ld, eps = norm.eps }, here,
          step:part(a.norm), n)
        tables.attend(layer, inner, op, a, n, o, pool)
        local work = rows.new(layer, inner, pool, count, after)
        work:place(op, o, 0, true)
        work:place(x, here, 0, true)
        work:bind(value, here)
        work:run()
        inner:each({ variable = "r", to = window }, function(each, r)
          each:copy(from + (first + r * width) * ld, here + r * (window * ld), window * ld)
        end)
      end)
  end)
end

return {
  { name = "depthwise", lower = nest.depthwise, kind = function() return "depthwise" end,
    fits = function(one) return one:op "depthwise" ~= nil end },
  { name = "biased_windows", lower = nest.windows, kind = function() return "encoder_attention" end,
    fits = function(one) return one:op "biased_attention" ~= nil end },
}
