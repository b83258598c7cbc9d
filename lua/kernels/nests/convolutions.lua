-- SPDX-License-Identifier: Apache-2.0
--- Convolutions of images, a row of the result at a time. `unfolded`: the places around each are rows of a product,
-- which row-wise operations follow. `depthwise`: row-wise operations, then each channel by itself, then row-wise ones;
-- what is convolved is kept with zeros around.
-- `interleaved`: parts of coarser pixels, then row-wise operations.

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

-- Rows of a product at most, of lines of the result that are made together where they are short: each product reads all
-- weights.
local MOST_TAPS = 128

function nest.unfolded(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "unfold"
  local x, value = one.inputs[1], one.outputs[1]
  local from, to, pool = layer:buffer(x), layer:buffer(value), step:pool()
  local slices, height, width, length = table.unpack(op.shape)
  local lines = layers.divisor(height, width, MOST_TAPS // layer.ctx.cores)
  local taps = pool:take("taps", lines * width * layers.stride(length), layers.stride(length))
  local function fill(body, slice, y, row)
    body:each({ variable = "i", to = width }, function(each, i)
      for dy = 0, op.side - 1 do
        for dx = 0, op.side - 1 do tap(each, op, x.shape, from, taps:row(row + i), slice, y, i, dy, dx) end
      end
    end)
  end
  step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * height // lines, units = { name = "rows" } }, function(inner, unit)
      local slice, y = inner:let("slice", unit * lines // height), inner:let("y", unit * lines % height)
      if lines == 1 then fill(inner, slice, y, 0)
      else
        inner:each({ variable = "line", to = lines }, function(each, line)
          fill(each, slice, each:let("yy", y + line), line * width)
        end)
      end
      on_row(layer, inner, pool, layers.without(one, { [op] = true }), lines * width, { [op] = { taps, true } },
        to:row(unit * (lines * width)))
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

-- Fill a row of what is convolved, of input row y, by what comes before.
local function fill_row(layer, body, n, slice, y, row)
  local from = n.from:row((slice * n.height + y) * n.width)
  if #n.before == 0 then return body:copy(row, from, n.width * n.ld) end
  local work = rows.new(layer, body, n.pool, n.width, n.before)
  work:place(n.x, from, 0, false)
  work:bind(n.before[#n.before], row)
  work:run()
end

-- A row of the result: of what is convolved, the row of places above it begins at `above`.
local function finish_row(layer, body, n, slice, y, above)
  body:call(n.kernel, above, layer.step:part(taps_of(layer, input(n.op, "w"))),
    layer.step:part(layer.parts:vector(input(n.op, "bias"))), n.convolved)
  local row, given = n.to:row((slice * n.out_height + y) * n.out_width), { [n.op] = { n.convolved, true } }
  if #n.after == 0 then return body:copy(row, n.convolved, n.out_width * n.ld) end
  if n.residual then given[n.x] = { n.from:row((slice * n.height + y) * n.width), layer:gives_up(n.x) } end
  on_row(layer, body, n.pool, n.after, n.out_width, given, row)
end

-- Where the result takes the place of what it is made of: all of that is kept with zeros around.
local function in_place(layer, n, slices)
  local step, across, pad = layer.step, n.across, n.pad
  local border = step.shared:take("border", (n.height + 2 * pad) * across, n.ld)
  step:stage("zero", function(body) body:zero(border, (n.height + 2 * pad) * across) end)
  step:around("slice", slices, function(slice)
    step:stage("units", function(body)
      body:each({ variable = "y", to = n.height, units = { name = "lines" } }, function(inner, y)
        fill_row(layer, inner, n, slice, y, (border + ((y + pad) * across + pad * n.ld)):of_row(y))
      end)
    end)
    step:stage("units", function(body)
      body:each({ variable = "y", to = n.out_height, units = { name = "rows" } }, function(inner, y)
        finish_row(layer, inner, n, slice, y, border + y * (n.op.stride * across))
      end)
    end)
  end)
end

local MOST_ROWS = 16 -- of a strip; what is convolved for two of them is made twice

-- Some rows of the result at a time, for which only those are kept that they are made of.
local function by_strips(layer, n, slices)
  local count = layers.divisor(n.out_height, 1, MOST_ROWS)
  local lines, strips = (count - 1) * n.op.stride + n.op.side, n.out_height // count
  local strip, pad = n.pool:take("strip", lines * n.across, n.ld), n.pad
  layer.step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * strips, units = { name = "strips" } }, function(inner, unit)
      local slice, top = inner:let("slice", unit // strips), inner:let("top", unit % strips * count)
      inner:each({ variable = "line", to = lines }, function(each, line)
        local y, row = each:let("y", top * n.op.stride + line), strip + line * n.across -- y is `pad` too large
        each:when({ { y, ">=", pad }, { y, "<", n.height + pad } }, function(inside)
          inside:zero(row, pad * n.ld)
          inside:zero(row + (pad + n.width) * n.ld, pad * n.ld)
          fill_row(layer, inside, n, slice, y - pad, row + pad * n.ld)
        end, function(beyond) beyond:zero(row, n.across) end)
      end)
      inner:each({ variable = "r", to = count }, function(each, r)
        finish_row(layer, each, n, slice, top + r, strip + r * (n.op.stride * n.across))
      end)
    end)
  end)
end

function nest.depthwise(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "depthwise_conv"
  local x, value, source = one.inputs[1], one.outputs[1], input(op, "x")
  local slices, height, width, C = table.unpack(source.shape)
  local ld, pad, before, done = layers.stride(C), op.side // 2, one:closure(source), { [op] = true }
  for each in pairs(before) do done[each] = true end
  local n = { op = op, x = x, from = layer:buffer(x), to = layer:buffer(value), before = one:ordered(before),
    after = layers.without(one, done), pool = step:pool(), height = height, width = width, out_height = op.shape[2],
    out_width = op.shape[3], ld = ld, pad = pad, across = (width + 2 * pad) * ld, residual = false }
  for _, user in ipairs(one.users[x]) do n.residual = n.residual or user.label == one.label and not done[user] end
  n.convolved = n.pool:take("convolved", n.out_width * ld, ld)
  n.kernel = layer.K:depthwise_conv { columns = n.out_width, C = C, side = op.side, stride = op.stride, ldx = ld,
    ldy = ld, across = n.across }
  local lower = n.from.storage == n.to.storage and in_place or by_strips
  lower(layer, n, slices)
end

-- A row of finer pixels is copied from the parts of coarser ones, and row-wise operations follow.
function nest.interleaved(layer)
  local one, step, op = layer.group, layer.step, layer.group:op "interleave"
  local source, value = input(op, "x"), one.outputs[1]
  local from, to, pool = layer:buffer(source), layer:buffer(value), step:pool()
  local slices, height, width, C = table.unpack(op.shape)
  local pixels = pool:take("pixels", width * layers.stride(C), layers.stride(C))
  step:stage("units", function(body)
    body:each({ variable = "unit", to = slices * height, units = { name = "rows" } }, function(inner, unit)
      local slice, y = inner:let("slice", unit // height), inner:let("y", unit % height)
      inner:each({ variable = "i", to = width }, function(each, i)
        local place = (slice * source.shape[2] + (y + 1) // 2) * source.shape[3] + (i + 1) // 2
        each:copy(pixels:row(i), from:row(place) + (y % 2 * 2 + i % 2) * C, C)
      end)
      local given = { [op] = { pixels, true } }
      for _, x in ipairs(one.inputs) do
        if x ~= source then given[x] = { layer:buffer(x):row(unit * width), layer:gives_up(x) } end
      end
      on_row(layer, inner, pool, layers.without(one, { [op] = true }), width, given, to:row(unit * width))
    end)
  end)
end

return {
  { name = "interleaved", lower = nest.interleaved, kind = function() return "interleave" end,
    fits = function(one) return one:op "interleave" ~= nil end },
  { name = "unfolded", lower = nest.unfolded, kind = function() return "convolution" end,
    fits = function(one) return one:op "unfold" ~= nil end },
  { name = "depthwise", lower = nest.depthwise, kind = function() return "depthwise_convolution" end,
    fits = function(one) return one:op "depthwise_conv" ~= nil end },
}
