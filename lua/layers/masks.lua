-- SPDX-License-Identifier: Apache-2.0
--- From image tokens to mask logits: both transposed convolutions, norm, GELU and the product with the hypernetworks, a
-- block of tokens at a time, so that the up-scaled image never exists. A token becomes 2 x 2, then 4 x 4 pixels.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K, block = ctx.model, ctx.kernels, ctx.block_rows
  local E, g, masks = m.out, m.grid, m.decoder.masks
  local up1, up2, norm = L:op("conv_transpose2x2", 1), L:op("conv_transpose2x2", 2), L:op "layernorm"
  local c1, c2 = up1.params.weight.shape[2], up2.params.weight.shape[2]
  local lde, ld1, ld2 = kernels.stride(E), kernels.round16(c1), kernels.round16(c2)
  local seg = segment.new(L.private)
  local function sub_pixels(role, op, cin, cout)
    local weight = op.params.weight
    for sub = 0, 3 do
      seg:panels(role .. sub, cin, cout, function()
        return weight:slice(3, sub // 2, 1):slice(4, sub % 2, 1):reshape { cin, cout }:rename(weight.name)
      end, segment.of(weight))
    end
    seg:vector(role .. "_bias", cout, function() return op.params.bias end, segment.of(op.params.bias))
  end
  sub_pixels("up1_", up1, E, c1)
  seg:norm("norm", norm.params)
  sub_pixels("up2_", up2, c1, c2)
  L.segment = seg
  local ldl = kernels.round16(masks)
  local s = scratch.new()
  s:take("fine", block * 4 * ld1)
  s:take("finest", block * 16 * ld2)
  s:take("products", block * 16 * ldl)
  L.scratch = { shared = 0, own = s.size }
  L.env = { E = E, grid = g, masks = masks, block = block, tokens = g * g, lde = lde, ld1 = ld1, ld2 = ld2, ldl = ldl, c2 = c2, s = s.at, w = seg.at,
    up1 = K:gemm { M = block, N = c1, K = E, lda = lde, ldc = 4 * ld1, init = "bias" },
    norm = K:layernorm { rows = block * 4, C = c1, ldx = ld1, ldy = ld1, eps = norm.eps },
    gelu = K:rows("gelu", { rows = block * 4, C = c1, ldx = ld1 }),
    up2 = K:gemm { M = block * 4, N = c2, K = c1, lda = ld1, ldc = 4 * ld2, init = "bias", act = "gelu" },
    product = K:gemm { M = block * 16, N = masks, K = c2, lda = ld2, ldc = ldl } }
  L.buffers = { keys = g * g * lde, hyper = (masks + 15) // 16 * 16 * c2, logits = masks * 16 * g * g }
  L.macs = g * g * (4 * E * c1 + 16 * c1 * c2 + 16 * c2 * masks)
end

return layer
