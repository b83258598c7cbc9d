-- SPDX-License-Identifier: Apache-2.0
--- Convolutions of images [n,h,w,c].

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
