-- SPDX-License-Identifier: Apache-2.0
--- The image tokens that the decoder starts from: embedding plus the mask prompt, through its three convolutions, or plus
-- the embedding of "no mask". Both 2x2 convolutions with stride 2 are matrix products on a token's own 4x4 pixels.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local op = L:op "add_dense_prompt"
  local p = op.params
  local E, g, rows = m.out, m.grid, ctx.block_rows
  local lde = kernels.stride(E)
  local w0, w3, w6 = p["0.weight"], p["3.weight"], p["6.weight"]
  local c1, c2 = w0.shape[1], w3.shape[1]
  local seg = segment.new(L.private)
  seg:vector("no_mask", E, function() return p.no_mask:reshape { E }:rename(p.no_mask.name) end, segment.of(p.no_mask))
  seg:linear("conv0", w0, p["0.bias"])
  seg:norm("norm1", { weight = p["1.weight"], bias = p["1.bias"] })
  -- k runs over (sub-row, sub-column, channel): the order in which the first convolution leaves its results.
  seg:panels("conv3", 4 * c1, c2, function()
    return w3:permute { 3, 4, 2, 1 }:reshape { 4 * c1, c2 }:rename(w3.name)
  end, segment.of(w3))
  seg:vector("conv3_bias", c2, function() return p["3.bias"] end, segment.of(p["3.bias"]))
  seg:norm("norm4", { weight = p["4.weight"], bias = p["4.bias"] })
  seg:linear("conv6", w6, p["6.bias"])
  L.segment = seg
  local ld1, ldj, ld2 = kernels.round16(c1), kernels.stride(4 * c1), kernels.stride(c2)
  local s = scratch.new()
  s:take("pixels", rows * 4 * 16)
  s:take("fine", rows * 4 * ld1)
  s:take("joined", rows * ldj)
  s:take("coarse", rows * ld2)
  s:take("dense", rows * lde)
  L.scratch = { shared = 0, own = s.size }
  L.env = { E = E, grid = g, rows = rows, lde = lde, c1 = c1, c2 = c2, ld1 = ld1, ldj = ldj, ld2 = ld2, s = s.at, w = seg.at, tokens = g * g,
    conv0 = K:gemm { M = rows * 4, N = c1, K = 4, lda = 16, ldc = ld1, init = "bias" },
    norm1 = K:layernorm { rows = rows * 4, C = c1, ldx = ld1, ldy = ld1, eps = op.eps },
    gelu1 = K:rows("gelu", { rows = rows * 4, C = c1, ldx = ld1 }),
    conv3 = K:gemm { M = rows, N = c2, K = 4 * c1, lda = ldj, ldc = ld2, init = "bias" },
    norm4 = K:layernorm { rows = rows, C = c2, ldx = ld2, ldy = ld2, eps = op.eps },
    gelu4 = K:rows("gelu", { rows = rows, C = c2, ldx = ld2 }),
    conv6 = K:gemm { M = rows, N = E, K = c2, lda = ld2, ldc = lde, init = "bias" },
    sum = K:rows("sum", { rows = rows, C = E, ldx = lde, ldy = lde, ldz = lde }),
    sum_no_mask = K:rows("sum", { rows = rows, C = E, ldx = 0, ldy = lde, ldz = lde }) }
  L.buffers = { embedding = m.depth * g * g * lde, keys = g * g * lde }
  L.macs = g * g * (4 * 4 * c1 + 4 * c1 * c2 + c2 * E)
  L.mask_prompt = true
end

return layer
