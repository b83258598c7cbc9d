-- SPDX-License-Identifier: Apache-2.0
--- Convolutions of images [n,h,w,c].

local expressions = require "graph.expressions"
local kinds = require "graph.kinds"
local moves = require "graph.moves"
local schema = require "support.schema"
local weights = require "graph.weights"

local matrix, product, whole = kinds.matrix, kinds.product, kinds.whole

local ops = {}

--- A convolution of an image [n,h,w,c]: w [outputs,c,side,side].
--   stride  side for patches that do not overlap, else 1, with zeros around
--   sums    "channel": a sum for each channel, added in their order, the bias in the first;
--           "tap": a sum for each of the side^2 places; "whole": one sum, places outside, channels inside
ops.conv = { roles = { "x", "w", "bias?" },
  attributes = { stride = { whole, true }, sums = { schema.one_of("channel", "tap", "whole"), true },
    precision = kinds.precision } }
function ops.conv.shape(op, v)
  local s = v.x.shape
  return { s[1], s[2] // op.stride, s[3] // op.stride, v.w.shape[1] }
end
function ops.conv.macs(op, v)
  return product(v.x.shape, 1, 3) // (op.stride * op.stride) * product(v.w.shape)
end

local conv = {}

-- Patches [rows, side, side, c] of an image, side apart.
local function patches(op, v)
  local s = op.shape_of.x
  local P = op.stride
  return v.x:reshape { s[1] * (s[2] // P), P, s[3] // P, P, s[4] }:permute { 1, 3, 2, 4, 5 },
    s[1] * (s[2] // P) * (s[3] // P), s[4]
end

function conv.channel(R, op, v)
  local p, rows, channels = patches(op, v)
  local P, y = op.stride, nil
  for c = 0, channels - 1 do
    local w = v.w:slice(2, c, 1):reshape { v.w.shape[1], P * P }
    local one = R.linear(matrix(p:slice(5, c, 1), P * P), w, c == 0 and v.bias or nil)
    y = y and R.add(y, one) or one
  end
  assert(y.shape[1] == rows)
  return y
end

function conv.whole(R, op, v)
  local p, _, channels = patches(op, v)
  local n = op.stride * op.stride * channels
  return R.linear(matrix(p, n), v.w:permute { 1, 3, 4, 2 }:reshape { v.w.shape[1], n }, v.bias)
end

function conv.tap(R, op, v)
  local s, side, y = op.shape_of.x, v.w.shape[3], nil
  local around = R.stacked { v.x, require "msagen.tensor".zeros { 1, s[4] } }
  if op.precision == "int8" then
    return kinds.taps_int8(R, around, v.w, function(tap)
      return moves.shifted(s, tap // side - side // 2, tap % side - side // 2)
    end)
  end
  local linear = kinds.linear_of(R, op)
  for tap = 0, side * side - 1 do
    local w = v.w:slice(3, tap // side, 1):slice(4, tap % side, 1):reshape { v.w.shape[1], s[4] }
    local shifted = R.rows(around, moves.shifted(s, tap // side - side // 2, tap % side - side // 2))
    local one = linear(shifted, w)
    y = y and R.add(y, one) or one
  end
  return y
end

function ops.conv.run(R, op, v) return conv[op.sums](R, op, v) end

-- The same as other operations; sums, with the bias in the first, as they are added.
local expanded = {}

local function sum_of(g, count, one)
  local y
  for i = 0, count - 1 do y = y and g:add(y, one(i)) or one(i) end
  return y
end

-- Patches as rows, with channels where `order` of {n h, side, w, side, c} puts them.
local function patch_rows(g, op, x, order, to)
  local s, P = x.shape, op.stride
  return g:reshape(g:permute(g:reshape(x, { to = { s[1] * (s[2] // P), P, s[3] // P, P, s[4] } }), { order = order }),
    { to = to })
end

function expanded.channel(g, op, v, live)
  local outputs, C, n = v.w.shape[1], v.x.shape[4], op.stride * op.stride
  local rows = product(op.shape, 1, 3)
  local all = patch_rows(g, op, v.x, { 5, 1, 3, 2, 4 }, { C * rows, n })
  local of = weights.parts(g, v.w, "channel", { 2, 1, 3, 4 }, C, { outputs, n }, live)
  return sum_of(g, C, function(c)
    return g:linear(g:slice(all, { first = c * rows, count = rows }), of(c), c == 0 and v.bias or nil)
  end)
end

function expanded.whole(g, op, v, live)
  local n = op.stride * op.stride * v.x.shape[4]
  local of = weights.parts(g, v.w, "patch", { 1, 3, 4, 2 }, 1, { v.w.shape[1], n }, live)
  return g:linear(patch_rows(g, op, v.x, { 1, 3, 2, 4, 5 }, { product(op.shape, 1, 3), n }), of(0), v.bias)
end

function expanded.tap(g, _, v, live)
  local s, side = v.x.shape, v.w.shape[3]
  local zero = kinds.zero_row(g, s[4])
  local of = weights.parts(g, v.w, "tap", { 3, 4, 1, 2 }, side * side, { v.w.shape[1], s[4] }, live)
  return sum_of(g, side * side, function(tap)
    local function index() return moves.shifted(s, tap // side - side // 2, tap % side - side // 2) end
    return g:linear(g:gather(v.x, zero, { index = index, to = s }), of(tap))
  end)
end

function ops.conv.expand(g, op, v, live)
  assert(not (op.sums == "tap" and v.bias), "conv: sums by taps without a bias expected")
  return g:reshape(expanded[op.sums](g, op, v, live), { to = op.shape })
end

-- Places a side that a window of `side` places takes, its middle every `stride`-th place, zeros around.
local function places(length, op) return (length + op.side // 2 * 2 - op.side) // op.stride + 1 end

-- Where a place of the image of a shape lies that is tap number `tap` of each place of the result.
local function tap_index(op, shape, tap)
  return moves.shifted(shape, tap // op.side - op.side // 2, tap % op.side - op.side // 2, op.stride, 1 - op.side % 2)
end

-- The image moved to each of the side^2 places, in their order, one below the other where they are beyond the edge.
local function each_tap(R, op, x)
  local s, list = op.shape_of.x, {}
  local around = R.stacked { x, kinds.zeros(1, s[4]) }
  for tap = 0, op.side * op.side - 1 do list[tap + 1] = R.rows(around, tap_index(op, s, tap)) end
  return list
end

--- The pixels of a picture as a value of their own.
ops.pixels = { roles = { "x" }, attributes = {}, shape = kinds.same, macs = kinds.none }
function ops.pixels.run(_, _, v) return v.x end
function ops.pixels.gradient(_, _, _, dy) return { x = dy } end

--- The side x side places around every stride-th one, a row for each: places outside, channels inside; zeros beyond the
-- edge. A linear map of it is a convolution.
ops.unfold = { roles = { "x" }, attributes = { side = { whole, true }, stride = { whole, true } }, macs = kinds.none }
function ops.unfold.shape(op, v)
  local s = v.x.shape
  return { s[1], places(s[2], op), places(s[3], op), op.side * op.side * s[4] }
end
function ops.unfold.run(R, op, v) return R.beside(table.unpack(each_tap(R, op, v.x))) end
function ops.unfold.expand(g, op, v)
  local s, taps = v.x.shape, op.side * op.side
  local rows = product(op.shape, 1, 3)
  local function index()
    local list = {}
    for tap = 0, taps - 1 do
      for i, from in ipairs(tap_index(op, s, tap)) do list[(i - 1) * taps + tap + 1] = from end
    end
    return list
  end
  local all = g:gather(v.x, kinds.zero_row(g, s[4]), { index = index, to = { rows * taps, s[4] } })
  return g:reshape(all, { to = op.shape })
end

--- A convolution of each channel by itself: w [c,side^2]. A sum takes its places in their order from +0; the bias comes
-- last.
ops.depthwise_conv = { roles = { "x", "w", "bias" }, attributes = { side = { whole, true }, stride = { whole, true } } }
function ops.depthwise_conv.shape(op, v)
  local s = v.x.shape
  return { s[1], places(s[2], op), places(s[3], op), s[4] }
end
function ops.depthwise_conv.macs(op, v)
  return op.side * op.side * product(ops.depthwise_conv.shape(op, v))
end
function ops.depthwise_conv.run(R, op, v)
  local C, all, w, sum = op.shape[4], {}, v.w:transpose(), nil
  for i = 1, product(op.shape, 1, 3) do all[i] = 0 end
  for tap, x in ipairs(each_tap(R, op, v.x)) do
    sum = R.fma(x, w:slice(1, tap - 1, 1), sum or kinds.zeros(1, C))
  end
  return R.add(sum, R.rows(v.bias:reshape { 1, C }, all))
end
function ops.depthwise_conv.gradient(g, op, v, dy, wants)
  return { x = wants.x and g:depthwise_conv_dx(dy, v.w, { side = op.side, stride = op.stride, to = v.x.shape }),
    w = wants.w and g:depthwise_conv_dw(dy, v.x, { side = op.side, stride = op.stride }),
    bias = wants.bias and g:column_sum(dy) }
end

--- Gradient of a depthwise_conv's x, which has shape `to`: a sum takes the weight's places in their order from +0, each
-- times the dy that x is that place of, or +0.
ops.depthwise_conv_dx = { roles = { "dy", "w" }, attributes = { side = { whole, true }, stride = { whole, true },
  to = { schema.table, true } }, no_gradient = kinds.SECOND }
function ops.depthwise_conv_dx.shape(op) return op.to end
function ops.depthwise_conv_dx.macs(op) return op.side * op.side * product(op.to) end
function ops.depthwise_conv_dx.run(R, op, v)
  local C, w = op.to[4], v.w:transpose()
  local around, sum = R.stacked { v.dy, kinds.zeros(1, C) }, kinds.zeros(1, C)
  local rows, none = product(op.to, 1, 3), v.dy.shape[1]
  for tap = 0, op.side * op.side - 1 do
    local back = {}
    for i = 1, rows do back[i] = none end
    for i, from in ipairs(tap_index(op, op.to, tap)) do
      if from < rows then back[from + 1] = i - 1 end
    end
    sum = R.fma(R.rows(around, back), w:slice(1, tap, 1), sum)
  end
  return sum
end

--- Gradient of its w [c,side^2]: for each place column_sum of dy times the x there.
ops.depthwise_conv_dw = { roles = { "dy", "x" }, attributes = { side = { whole, true }, stride = { whole, true } },
  counted = kinds.never, no_gradient = kinds.SECOND }
function ops.depthwise_conv_dw.shape(op, v) return { v.x.shape[4], op.side * op.side } end
function ops.depthwise_conv_dw.macs(op, v) return op.side * op.side * product(v.dy.shape) end
function ops.depthwise_conv_dw.run(R, op, v)
  local sums = {}
  for tap, x in ipairs(each_tap(R, op, v.x)) do sums[tap] = R.column_sum(R.times(v.dy, x)) end
  return R.packed(R.stacked(sums):transpose())
end

--- The mean of all places, a row an image: a sum in their order from +0, times float32's 1 / (h w).
ops.column_mean = { roles = { "x" }, attributes = {}, macs = kinds.none }
function ops.column_mean.shape(_, v) return { v.x.shape[1], 1, 1, v.x.shape[4] } end
function ops.column_mean.run(R, op, v)
  local s, list = op.shape_of.x, {}
  for i = 0, s[1] - 1 do
    local sum = kinds.zeros(1, s[4])
    for place = 0, s[2] * s[3] - 1 do sum = R.add(sum, v.x:slice(1, i * s[2] * s[3] + place, 1)) end
    list[i + 1] = R.evaluate(expressions.of(function(x) return x * (1 / (s[2] * s[3])) end), R.packed(sum))
  end
  return R.stacked(list)
end
function ops.column_mean.gradient(g, _, v, dy)
  local s = v.x.shape
  local function index()
    local list = {}
    for i = 0, product(s, 1, 3) - 1 do list[i + 1] = i // (s[2] * s[3]) end
    return list
  end
  return { x = g:gather(g:scale(dy, { s = 1 / (s[2] * s[3]) }), nil, { index = index, to = s }) }
end

--- Pixels [n,h,w,4c] of 2 x 2 each, of which a row of the result has those of the row above and below it in turn: pixel
-- (i, j) is part 2 (i mod 2) + j mod 2 of ((i + 1) / 2, (j + 1) / 2). The last row and column of a part are not used.
ops.interleave = { roles = { "x" }, attributes = {}, macs = kinds.none }
function ops.interleave.shape(_, v)
  local s = v.x.shape
  return { s[1], 2 * (s[2] - 1), 2 * (s[3] - 1), s[4] // 4 }
end

-- Rows of x as [4 n h w,c] that the result's rows are.
local function interleaved(s)
  local places, n = {}, 0
  for slice = 0, s[1] - 1 do
    for i = 0, 2 * s[2] - 3 do
      for j = 0, 2 * s[3] - 3 do
        n = n + 1
        places[n] = ((slice * s[2] + (i + 1) // 2) * s[3] + (j + 1) // 2) * 4 + i % 2 * 2 + j % 2
      end
    end
  end
  return places
end

function ops.interleave.run(R, op, v)
  local s = op.shape_of.x
  return R.rows(v.x:reshape { s[1] * s[2] * s[3] * 4, s[4] // 4 }, interleaved(s))
end
function ops.interleave.expand(g, op, v)
  local s = v.x.shape
  return g:gather(g:reshape(v.x, { to = { s[1] * s[2] * s[3] * 4, s[4] // 4 } }), nil,
    { index = function() return interleaved(s) end, to = op.shape })
end

--- A transposed convolution of 2 x 2, 2 apart: w [c,outputs,2,2]. Each of the four places is a product of its own.
ops.conv_transpose = { roles = { "x", "w", "bias?" }, attributes = { precision = kinds.precision } }
function ops.conv_transpose.shape(_, v)
  local s = v.x.shape
  return { s[1], 2 * s[2], 2 * s[3], v.w.shape[2] }
end
function ops.conv_transpose.macs(_, v) return product(v.x.shape, 1, 3) * product(v.w.shape) end
function ops.conv_transpose.run(R, op, v)
  local s, cin, cout, subs = op.shape_of.x, v.w.shape[1], v.w.shape[2], {}
  for sub = 0, 3 do
    local w = v.w:slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { cin, cout }:transpose()
    subs[sub + 1] = kinds.linear_of(R, op)(v.x, w, v.bias)
  end
  local all = R.beside(table.unpack(subs)):reshape { s[1] * s[2], s[3], 2, 2, cout }
  return matrix(all:permute { 1, 3, 2, 4, 5 }, cout)
end

-- One product, to all four places.
function ops.conv_transpose.expand(g, op, v, live)
  local s, inputs, outputs = v.x.shape, v.w.shape[1], v.w.shape[2]
  local w = weights.parts(g, v.w, "places", { 3, 4, 2, 1 }, 1, { 4 * outputs, inputs }, live)(0)
  local y = g:linear(v.x, w, v.bias and weights.repeated(g, v.bias, "places", 4, live))
  y = g:reshape(y, { to = { s[1] * s[2], s[3], 2, 2, outputs } })
  return g:reshape(g:permute(y, { order = { 1, 3, 2, 4, 5 } }), { to = op.shape })
end

return ops
