-- SPDX-License-Identifier: Apache-2.0
--- Convolutions of images [n,h,w,c].

local expressions = require "graph.expressions"
local kinds = require "graph.kinds"
local moves = require "graph.moves"
local schema = require "support.schema"

local matrix, product, whole = kinds.matrix, kinds.product, kinds.whole

local ops = {}

--- A convolution of an image [n,h,w,c]: w [outputs,c,side,side].
--   stride  side for patches that do not overlap, else 1, with zeros around
--   sums    "channel": a sum for each channel, added in their order, the bias in the first;
--           "tap": a sum for each of the side^2 places; "whole": one sum, places outside, channels inside
ops.conv = { roles = { "x", "w", "bias?" },
  attributes = { stride = { whole, true }, sums = { schema.one_of("channel", "tap", "whole"), true } } }
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
  for tap = 0, side * side - 1 do
    local w = v.w:slice(3, tap // side, 1):slice(4, tap % side, 1):reshape { v.w.shape[1], s[4] }
    local shifted = R.rows(around, moves.shifted(s, tap // side - side // 2, tap % side - side // 2))
    local one = R.linear(shifted, w)
    y = y and R.add(y, one) or one
  end
  return y
end

function ops.conv.run(R, op, v) return conv[op.sums](R, op, v) end

-- Places a side that a window of `side` places takes, its middle every `stride`-th place, zeros around.
local function places(length, op) return (length + op.side // 2 * 2 - op.side) // op.stride + 1 end

-- The image moved to each of the side^2 places, in their order, one below the other where they are beyond the edge.
local function each_tap(R, op, x)
  local s, list = op.shape_of.x, {}
  local around = R.stacked { x, require "msagen.tensor".zeros { 1, s[4] } }
  for tap = 0, op.side * op.side - 1 do
    list[tap + 1] = R.rows(around, moves.shifted(s, tap // op.side - op.side // 2, tap % op.side - op.side // 2,
      op.stride, 1 - op.side % 2))
  end
  return list
end

--- The pixels of a picture as a value of their own.
ops.pixels = { roles = { "x" }, attributes = {}, shape = kinds.same, macs = kinds.none }
function ops.pixels.run(_, _, v) return v.x end

--- The side x side places around every stride-th one, a row for each: places outside, channels inside; zeros beyond the
-- edge. A linear map of it is a convolution.
ops.unfold = { roles = { "x" }, attributes = { side = { whole, true }, stride = { whole, true } }, macs = kinds.none }
function ops.unfold.shape(op, v)
  local s = v.x.shape
  return { s[1], places(s[2], op), places(s[3], op), op.side * op.side * s[4] }
end
function ops.unfold.run(R, op, v) return R.beside(table.unpack(each_tap(R, op, v.x))) end

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
    sum = R.fma(x, w:slice(1, tap - 1, 1), sum or require "msagen.tensor".zeros { 1, C })
  end
  return R.add(sum, R.rows(v.bias:reshape { 1, C }, all))
end

--- The mean of all places, a row an image: a sum in their order from +0, times float32's 1 / (h w).
ops.column_mean = { roles = { "x" }, attributes = {}, macs = kinds.none }
function ops.column_mean.shape(_, v) return { v.x.shape[1], 1, 1, v.x.shape[4] } end
function ops.column_mean.run(R, op, v)
  local s, list = op.shape_of.x, {}
  for i = 0, s[1] - 1 do
    local sum = require "msagen.tensor".zeros { 1, s[4] }
    for place = 0, s[2] * s[3] - 1 do sum = R.add(sum, v.x:slice(1, i * s[2] * s[3] + place, 1)) end
    list[i + 1] = R.evaluate(expressions.of(function(x) return x * (1 / (s[2] * s[3])) end), R.packed(sum))
  end
  return R.stacked(list)
end

--- Pixels [n,h,w,4c] of 2 x 2 each, of which a row of the result has those of the row above and below it in turn: pixel
-- (i, j) is part 2 (i mod 2) + j mod 2 of ((i + 1) / 2, (j + 1) / 2). The last row and column of a part are not used.
ops.interleave = { roles = { "x" }, attributes = {}, macs = kinds.none }
function ops.interleave.shape(_, v)
  local s = v.x.shape
  return { s[1], 2 * (s[2] - 1), 2 * (s[3] - 1), s[4] // 4 }
end
function ops.interleave.run(R, op, v)
  local s, places, n = op.shape_of.x, {}, 0
  for slice = 0, s[1] - 1 do
    for i = 0, 2 * s[2] - 3 do
      for j = 0, 2 * s[3] - 3 do
        n = n + 1
        places[n] = ((slice * s[2] + (i + 1) // 2) * s[3] + (j + 1) // 2) * 4 + i % 2 * 2 + j % 2
      end
    end
  end
  return R.rows(v.x:reshape { s[1] * s[2] * s[3] * 4, s[4] // 4 }, places)
end

--- A transposed convolution of 2 x 2, 2 apart: w [c,outputs,2,2]. Each of the four places is a product of its own.
ops.conv_transpose = { roles = { "x", "w", "bias?" }, attributes = {} }
function ops.conv_transpose.shape(_, v)
  local s = v.x.shape
  return { s[1], 2 * s[2], 2 * s[3], v.w.shape[2] }
end
function ops.conv_transpose.macs(_, v) return product(v.x.shape, 1, 3) * product(v.w.shape) end
function ops.conv_transpose.run(R, op, v)
  local s, cin, cout, subs = op.shape_of.x, v.w.shape[1], v.w.shape[2], {}
  for sub = 0, 3 do
    local w = v.w:slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { cin, cout }:transpose()
    subs[sub + 1] = R.linear(v.x, w, v.bias)
  end
  local all = R.beside(table.unpack(subs)):reshape { s[1] * s[2], s[3], 2, 2, cout }
  return matrix(all:permute { 1, 3, 2, 4, 5 }, cout)
end

return ops
