-- SPDX-License-Identifier: Apache-2.0
--- Convolutions of images, a row of the result at a time. `unfolded`: the places around each are rows of a product,
-- which row-wise operations follow. `depthwise`: row-wise operations, then each channel by itself, then row-wise ones;
-- what is convolved is kept with zeros around.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"

local input = layers.input

local nest = {}

-- Row-wise operations on a row of the result. @param given value -> { view, whether it may be written over }
local function on_row(layer, body, pool, ops, count, given, row)
  local work = rows.new(layer, body, pool, count, ops)
  for value, place in pairs(given) do work:place(value, place[1], 0, place[2]) end
  work:bind(layer.group.outputs[1], row)
  work:run()
end

local function all_but(one, set)
  local list = {}
  for _, op in ipairs(one.ops) do
    if not set[op] then list[#list + 1] = op end
  end
  return list
end

-- One place of a row of taps: C elements of x, or zeros beyond the edge.
local function tap(body, op, shape, from, to, slice, y, x, dy, dx)
  local C, pad, height, width = shape[4], op.side // 2, shape[2], shape[3]
  local yy, xx = y * op.stride + dy, x * op.stride + dx -- each `pad` too large
  local inside = { { yy, ">=", pad }, { yy, "<", height + pad }, { xx, ">=", pad }, { xx, "<", width + pad } }
  local view = to + (dy * op.side + dx) * C
  local function copy(inner)
    inner:copy(view, from + ((slice * height + yy) * width + xx - (pad * width + pad)) * from.storage.stride, C)
  end
  if pad == 0 then return copy(body) end
  body:when(inside, copy, function(inner) inner:zero(view, C) end)
end

function nest.unfolded(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "unfold"
  local x, value = one.inputs[1], one.outputs[1]
  local from, to, pool = layer:buffer(x), layer:buffer(value), step:pool()
  local slices, height, width, length = table.unpack(op.shape)
  local taps = pool:take("taps", width * layers.stride(length), layers.stride(length))
  step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * height, units = { name = "rows" } }, function(inner, unit)
      local slice, y = inner:let("slice", unit // height), inner:let("y", unit % height)
      inner:each({ variable = "i", to = width }, function(each, i)
        for dy = 0, op.side - 1 do
          for dx = 0, op.side - 1 do tap(each, op, x.shape, from, taps:row(i), slice, y, i, dy, dx) end
        end
      end)
      on_row(layer, inner, pool, all_but(one, { [op] = true }), width, { [op] = { taps, true } }, to:row(unit * width))
    end)
  end)
end

-- A depthwise convolution's weights [c,side^2]: a row a place.
local function taps_of(layer, w)
  local C, places, role = w.shape[1], w.shape[2], layer.parts:role(w)
  return layer.parts:other(role, function()
    layer.segment:rows(role, places, C, kernels.round16(C), function()
      return layer.parts.tensor_of(w):transpose():rename(w.name)
    end, layer.parts.sources_of(w))
  end)
end

-- Fill a row of what is convolved, by what comes before.
local function fill_row(layer, body, n, y, row)
  if #n.before == 0 then return body:copy(row, n.from:row((n.slice * n.height + y) * n.width), n.width * n.ld) end
  local work = rows.new(layer, body, n.pool, n.width, n.before)
  work:place(n.x, n.from:row((n.slice * n.height + y) * n.width), 0, false)
  work:bind(n.before[#n.before], row)
  work:run()
end

function nest.depthwise(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "depthwise_conv"
  local x, value, source = one.inputs[1], one.outputs[1], input(op, "x")
  local slices, height, width, C = table.unpack(source.shape)
  local ld, pad, before = layers.stride(C), op.side // 2, one:closure(source)
  local across, done = (width + 2 * pad) * ld, { [op] = true }
  for each in pairs(before) do done[each] = true end
  local n = { x = x, from = layer:buffer(x), before = one:ordered(before), pool = step:pool(), height = height,
    width = width, ld = ld }
  local to, out_height, out_width = layer:buffer(value), op.shape[2], op.shape[3]
  local border = step.shared:take("border", (height + 2 * pad) * across, ld)
  local convolved = n.pool:take("convolved", out_width * ld, ld)
  local kernel = layer.K:depthwise_conv { columns = out_width, C = C, side = op.side, stride = op.stride, ldx = ld,
    ldy = ld, across = across }
  step:stage("zero", function(body) body:zero(border, (height + 2 * pad) * across) end)
  step:around("slice", slices, function(slice)
    n.slice = slice
    step:stage("units", function(body)
      body:each({ variable = "y", to = height, units = { name = "lines" } }, function(inner, y)
        fill_row(layer, inner, n, y, (border + ((y + pad) * (width + 2 * pad) + pad) * ld):of_row(y))
      end)
    end)
    step:stage("units", function(body)
      body:each({ variable = "y", to = out_height, units = { name = "rows" } }, function(inner, y)
        inner:call(kernel, border + y * (op.stride * across), step:part(taps_of(layer, input(op, "w"))),
          step:part(layer.parts:vector(input(op, "bias"))), convolved)
        local row = to:row((slice * out_height + y) * out_width)
        local after, given = all_but(one, done), { [op] = { convolved, true } }
        if #after == 0 then return inner:copy(row, convolved, out_width * ld) end
        given[x] = { n.from:row((slice * height + y) * width), layer:gives_up(x) }
        on_row(layer, inner, n.pool, after, out_width, given, row)
      end)
    end)
  end)
end

return {
  { name = "unfolded", lower = nest.unfolded, kind = function() return "convolution" end,
    fits = function(one) return one:op "unfold" ~= nil end },
  { name = "depthwise", lower = nest.depthwise, kind = function() return "depthwise_convolution" end,
    fits = function(one) return one:op "depthwise_conv" ~= nil end },
}
