-- SPDX-License-Identifier: Apache-2.0
--- What the mixer computes and no other network does.
local kinds = require "graph.kinds"
local kernels = require "kernels.kernels"
local moves = require "graph.moves"
local tensor = require "msagen.tensor"

local ops = {}

--- A convolution of each channel by itself: w [c,1,3,3], zeros around. A sum takes its nine places in their order; the
-- bias comes last.
ops.depthwise = { roles = { "x", "w", "bias" }, attributes = {}, shape = kinds.same }
function ops.depthwise.macs(_, v) return 9 * kinds.product(v.x.shape) end
function ops.depthwise.run(R, op, v)
  local shape = op.shape_of.x
  local C, rows = shape[4], shape[1] * shape[2] * shape[3]
  local zero = tensor.zeros { 1, C }
  local around, w = R.stacked { v.x, zero }, v.w:reshape { C, 9 }:transpose()
  local sum, all = zero, {}
  for tap = 0, 8 do
    sum = R.fma(R.rows(around, moves.shifted(shape, tap // 3 - 1, tap % 3 - 1)), w:slice(1, tap, 1), sum)
  end
  for i = 1, rows do all[i] = 0 end
  return R.add(sum, R.rows(v.bias:reshape { 1, C }, all))
end

--- Attention in windows that divide the grid: the logit of two places starts from table [heads,window^2], which knows
-- how far they are apart, down and across.
ops.biased_attention = { roles = { "q", "k", "v", "table" }, attributes = { heads = { kinds.whole, true },
  window = { kinds.whole, true } }, shape = function(_, v) return v.q.shape end }
function ops.biased_attention.macs(op, v) return 2 * kinds.product(v.q.shape) * op.window * op.window end

function ops.biased_attention.run(R, op, v)
  local count, shape = op.window * op.window, op.shape_of.q
  local start = R.rows(v.table:transpose(), moves.distances(op.window)):transpose():reshape { op.heads * count, count }
  return kinds.by_sets(R, moves.windows(shape[1], shape[2], shape[3], op.window), function(set)
    return R.attention(R.rows(v.q, set.rows), R.rows(v.k, set.rows), R.rows(v.v, set.rows), { heads = op.heads,
      tile = kernels.key_tile(count, op.window), count = count, start = start })
  end)
end

return ops
