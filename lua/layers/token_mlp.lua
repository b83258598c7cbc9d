-- SPDX-License-Identifier: Apache-2.0
--- The MLP on the decoder's tokens, with the paper's adapter beside it; residual and norm.
local common = require "layers.decoder_attention"
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local K, rows, E, tokens = ctx.kernels, ctx.token_chunk, ctx.model.out, ctx.click_tokens
  local up, down, adapter, norm = L:op("linear", 1), L:op("linear", 2), L:op "adapter", L:op "layernorm"
  local lde = kernels.stride(E)
  local seg = segment.new(L.private)
  local hidden = seg:linear("lin1", up.params.weight, up.params.bias)
  seg:linear("lin2", down.params.weight, down.params.bias)
  seg:norm("norm", norm.params)
  local a = adapter and common.adapter(adapter, ctx, seg, rows, "fc")
  if ctx.in_pieces(seg:floats()) then return require("layers.mlp_pieces").tokens(L, ctx, a) end
  local ldh = kernels.stride(hidden)
  local s = scratch.new()
  s:take("hidden", rows * ldh)
  s:take("y", rows * lde)
  L.env = { rows = ctx.token_rows, chunk = rows, E = E, hidden = hidden, lde = lde, s = s.at, w = seg.at, adapter = adapter ~= nil,
    lin1 = K:gemm { M = rows, N = hidden, K = E, lda = lde, ldc = ldh, init = "bias", act = "relu" },
    lin2 = K:gemm { M = rows, N = E, K = hidden, lda = ldh, ldc = lde, init = "bias" },
    norm = K:layernorm { rows = rows, C = E, ldx = lde, ldy = lde, eps = norm.eps } }
  L.macs = tokens * 2 * E * hidden
  if adapter then
    s:take("narrow", rows * a.ldh)
    s:take("a", rows * lde)
    L.env.down, L.env.up = a.down, a.up
    L.env.add = K:rows("addscaled", { rows = rows, C = E, ldx = lde, ldy = lde, ldz = lde, s = L:op("add", 1).scale })
    L.macs = L.macs + tokens * 2 * E * a.hidden
  else
    L.env.add = K:rows("add", { rows = rows, C = E, ldx = lde, ldy = lde })
  end
  L.segment = seg
  L.scratch = { shared = s.size, own = 0 }
  L.buffers = { queries = ctx.token_rows * lde }
  L.counted, L.alone = true, true
end

return layer
