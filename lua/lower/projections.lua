-- SPDX-License-Identifier: Apache-2.0
--- Maps of normed tokens to queries, keys and values of an image's attention, a head at a time.

local kernels = require "kernels.kernels"
local group = require "lower.group"
local operands = require "lower.operands"

local input, round16 = group.input, kernels.round16

local projections = {}

--- What an attention's projections are: of each head a matrix of its own, biases a row a head.
function projections.of(layer, op, norm)
  local parts, a = layer.parts, { heads = op.heads, C = op.shape[#op.shape] }
  a.d = a.C // a.heads
  a.dpad = round16(a.d)
  a.norm = parts:norm(input(norm, "gamma"), input(norm, "beta"))
  a.eps, a.precision = norm.eps, op.precision
  for _, part in ipairs { "q", "k", "v" } do
    local map = input(op, part)
    a[part .. "_w"] = input(map, "w")
    if not layer.pieces then a[part] = parts:by_head(a[part .. "_w"], a.heads, a.d, a.precision) end
    local bias = input(map, "bias")
    a[part .. "_bias"] = bias and parts:rows_of_heads(bias, a.heads, a.d)
  end
  for _, part in ipairs { "k_pad", "v_pad" } do
    local pad = input(op, part)
    a[part] = pad and parts:rows_of_heads(pad, a.heads, a.d, part == "k_pad" and a.precision or nil)
  end
  return a
end

--- A projection of one head, on M rows of n, which are of the attention's precision.
-- @param part "q", "k" or "v" @param pool of scratch
function projections.one(layer, body, a, part, h, M, n, to, pool)
  local step, bias = layer.step, a[part .. "_bias"]
  local w = step:part(a[part].first) + (a.group and h % a.group or h) * a[part].step
  if a.precision then
    return operands.product(a.precision, layer.K, body, pool, M, n, w, to, { N = a.d, K = a.C, ldc = a.dpad,
      bias = bias and step:part(bias) + h * a.dpad })
  end
  local name = layer.K:gemm { M = M, N = a.d, K = a.C, lda = n.storage.stride, ldc = a.dpad,
    init = bias and "bias" or "zero" }
  if bias then body:call(name, n, w, step:part(bias) + h * a.dpad, to) else body:call(name, n, w, to) end
end

return projections
