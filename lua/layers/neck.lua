-- SPDX-License-Identifier: Apache-2.0
--- The neck: 1x1 convolution, LayerNorm over channels, 3x3 convolution, LayerNorm. The 3x3 convolution is nine matrix
-- products on shifted rows of a bordered copy, each a sum of its own: nine short sums lose less than one long one.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local first, norm1, conv, norm2 = L:op "linear", L:op("layernorm", 1), L:op "conv3x3", L:op("layernorm", 2)
  local C, E, g = m.dim, m.out, m.grid
  local ldc, lde = kernels.stride(C), kernels.stride(E)
  local seg = segment.new(L.private)
  seg:linear("conv1", first.params.weight)
  seg:norm("norm1", norm1.params)
  local weight = conv.params.weight
  for tap = 0, 8 do
    seg:panels("tap" .. tap, E, E, function()
      return weight:slice(3, tap // 3, 1):slice(4, tap % 3, 1):reshape { E, E }:transpose():rename(weight.name)
    end)
  end
  seg:norm("norm2", norm2.params)
  L.segment = seg
  local s = scratch.new()
  s:take("product", g * lde)
  L.scratch = { shared = kernels.round16((g + 2) * (g + 2) * lde), own = s.size }
  L.barriers = true
  L.env = { E = E, grid = g, ldc = ldc, lde = lde, slices = m.depth, s = s.at, w = seg.at,
    conv1 = K:gemm { M = g, N = E, K = C, lda = ldc, ldc = lde }, norm1 = K:layernorm { rows = g, C = E, ldx = lde, ldy = lde, eps = norm1.eps },
    tap = K:gemm { M = g, N = E, K = E, lda = lde, ldc = lde }, add = K:rows("add", { rows = g, C = E, ldx = lde, ldy = lde }),
    norm2 = K:layernorm { rows = g, C = E, ldx = lde, ldy = lde, eps = norm2.eps } }
  L.buffers = { x = m.depth * g * g * ldc, embedding = m.depth * g * g * lde }
  L.macs = m.depth * g * g * (C * E + 9 * E * E)
end

return layer
