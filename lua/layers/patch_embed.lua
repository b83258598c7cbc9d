-- SPDX-License-Identifier: Apache-2.0
--- The image, resized and normalised a row at a time, to tokens: convolution with stride P as a matrix product for each colour, plus
-- the absolute position. Normalisation is a table of 256 values a channel; padding to a square is 0 after normalisation.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"
local tensor = require "msagen.tensor"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local embed, position = L:op "patch_embed", L:op "add_table"
  local C, g, P, S = m.dim, m.grid, m.patch, m.image_size
  local ldc = kernels.stride(C)
  local length = 3 * P * P
  local lda = kernels.stride(length)
  local seg = segment.new(L.private)
  seg:vector("levels", 768, function()
    local t = {}
    for c = 1, 3 do
      for v = 0, 255 do t[#t + 1] = (v - embed.normalise.mean[c]) / embed.normalise.std[c] end
    end
    return tensor.from(t, { 768 })
  end)
  seg:linear("proj", embed.params.weight, embed.params.bias)
  local table_ = position.params.table
  seg:rows("position", g * g, C, ldc, function() return table_:reshape { g * g, C }:rename(table_.name) end)
  L.segment = seg
  local s = scratch.new()
  s:take("a", g * lda)
  s:take("y", g * ldc)
  s:take("product", g * ldc)
  s:take("row", (S * 3 + 3) // 4)
  -- MSA_RESIZE_WORK_BYTES of runtime/msa_runtime.h; the generated text asserts that it is enough.
  local resizer = 4 * (2 * 16384 + 3 * S) + 16 * S + 32768 + 12 * S
  s:take("resizer", (resizer + 3) // 4)
  L.scratch = { shared = 0, own = s.size }
  L.env = { resizer_bytes = (resizer + 63) // 64 * 64, C = C, grid = g, patch = P, size = S, ldc = ldc, lda = lda, s = s.at, w = seg.at, slices = m.depth, longest = m.resize == "longest",
    first = K:gemm { M = g, N = C, K = P * P, lda = lda, ldc = ldc, bps = length * 16, init = embed.params.bias and "bias" or "zero" }, bias = embed.params.bias ~= nil,
    other = K:gemm { M = g, N = C, K = P * P, lda = lda, ldc = ldc, bps = length * 16 }, add = K:rows("add", { rows = g, C = C, ldx = ldc, ldy = ldc }),
    sum = K:rows("sum", { rows = g, C = C, ldx = ldc, ldy = ldc, ldz = ldc }) }
  L.buffers = { x = m.depth * g * g * ldc }
  L.macs = m.depth * g * g * length * C
  L.image = true
end

return layer
