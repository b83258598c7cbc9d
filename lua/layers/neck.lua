-- SPDX-License-Identifier: Apache-2.0
--- The neck: 1x1 convolution, LayerNorm over channels, 3x3 convolution, LayerNorm. The 3x3 convolution is nine matrix
-- products on shifted rows of a bordered copy, each a sum of its own: nine short sums lose less than one long one.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"
local stream = require "stream"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local first, norm1, conv, norm2 = L:op "linear", L:op("layernorm", 1), L:op "conv3x3", L:op("layernorm", 2)
  local C, E, g = m.dim, m.out, m.grid
  local ldc, lde = kernels.stride(C), kernels.stride(E)
  local seg = segment.new(L.private)
  local weight, panels = conv.params.weight, kernels.round16(E)
  local function tap_panels(tap)
    seg:panels("tap" .. tap, E, E, function()
      return weight:slice(3, tap // 3, 1):slice(4, tap % 3, 1):reshape { E, E }:transpose():rename(weight.name)
    end, segment.of(weight))
  end
  local in_pieces = ctx.in_pieces((C + 9 * E + 4) * panels) and m.depth == 1
  local columns, taps = E, 9
  if in_pieces then -- norms are held; conv1 by columns, which all rows meet in turn, then the taps
    seg:piece(true)
    seg:norm("norm1", norm1.params)
    seg:norm("norm2", norm2.params)
    local unit = E % 16 == 0 and 16 or E
    columns = unit * stream.group(E // unit, function(n) return C * kernels.round16(n * unit) end, ctx.limit)
    for c = 0, E - 1, columns do
      seg:piece()
      seg:outputs("conv1_" .. c, first.params.weight, c, columns)
    end
    taps = stream.group(9, function(n) return n * E * panels end, ctx.limit)
    for tap = 0, 8 do
      if tap % taps == 0 then seg:piece() end
      tap_panels(tap)
    end
    L.template = "neck_pieces"
  else
    seg:linear("conv1", first.params.weight)
    seg:norm("norm1", norm1.params)
    for tap = 0, 8 do tap_panels(tap) end
    seg:norm("norm2", norm2.params)
  end
  L.segment = seg
  local s = scratch.new()
  s:take("product", g * lde)
  L.scratch = { shared = kernels.round16((g + 2) * (g + 2) * lde), own = s.size }
  L.barriers = true
  L.env = { E = E, grid = g, ldc = ldc, lde = lde, slices = m.depth, s = s.at, w = seg.at, columns = columns, taps = taps, tap_floats = E * panels,
    conv1 = K:gemm { M = g, N = columns, K = C, lda = ldc, ldc = lde }, norm1 = K:layernorm { rows = g, C = E, ldx = lde, ldy = lde, eps = norm1.eps },
    tap = K:gemm { M = g, N = E, K = E, lda = lde, ldc = lde }, add = K:rows("add", { rows = g, C = E, ldx = lde, ldy = lde }),
    norm2 = K:layernorm { rows = g, C = E, ldx = lde, ldy = lde, eps = norm2.eps } }
  L.buffers = { x = m.depth * g * g * ldc, embedding = m.depth * g * g * lde }
  L.macs = m.depth * g * g * (C * E + 9 * E * E)
end

return layer
