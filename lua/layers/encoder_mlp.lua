-- SPDX-License-Identifier: Apache-2.0
--- Encoder MLP: norm2, lin1, GELU, lin2, the MLP adapter on the same tokens, residual; a block of tokens at a time, so that
-- the wide activations of one block are all that ever exists.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local norm, adapter = L:op "layernorm", L:op "adapter"
  local up, down = L:op("linear", 1), L:op("linear", 2)
  local C, hidden = m.dim, up.params.weight.shape[1]
  local ldc, ldh = kernels.stride(C), kernels.stride(hidden)
  local rows = ctx.block_rows
  local seg = segment.new(L.private)
  seg:norm("norm", norm.params)
  seg:linear("lin1", up.params.weight, up.params.bias)
  seg:linear("lin2", down.params.weight, down.params.bias)
  local width
  if adapter then
    width = seg:linear("fc1", adapter.params.D_fc1_weight, adapter.params.D_fc1_bias)
    seg:linear("fc2", adapter.params.D_fc2_weight, adapter.params.D_fc2_bias)
  end
  if ctx.in_pieces(seg:floats()) then return require("layers.mlp_pieces").encoder(L, ctx) end
  L.segment = seg
  local s = scratch.new()
  s:take("n", rows * ldc)
  s:take("hidden", rows * ldh)
  s:take("y", rows * ldc)
  if adapter then
    s:take("narrow", rows * kernels.stride(width))
    s:take("a", rows * ldc)
  end
  L.scratch = { shared = 0, own = s.size }
  local env = { C = C, hidden = hidden, width = width or 0, ldc = ldc, rows = rows, s = s.at, w = seg.at, layout = seg:signature(), bank = seg:bank_parameter(), adapter = adapter ~= nil }
  env.norm = K:layernorm { rows = rows, C = C, ldx = ldc, ldy = ldc, eps = norm.eps }
  env.lin1 = K:gemm { M = rows, N = hidden, K = C, lda = ldc, ldc = ldh, init = "bias", act = "gelu" }
  env.lin2 = K:gemm { M = rows, N = C, K = hidden, lda = ldh, ldc = ldc, init = "bias" }
  if adapter then
    local ldn = kernels.stride(width)
    env.fc1 = K:gemm { M = rows, N = width, K = C, lda = ldc, ldc = ldn, init = "bias", act = adapter.act }
    env.fc2 = K:gemm { M = rows, N = C, K = width, lda = ldn, ldc = ldc, init = "bias" }
    env.add = K:rows("addscaled", { rows = rows, C = C, ldx = ldc, ldy = ldc, ldz = ldc, s = L:op("add", 1).scale })
  else
    env.add = K:rows("add", { rows = rows, C = C, ldx = ldc, ldy = ldc })
  end
  local tokens = m.depth * m.grid * m.grid
  L.env = { block = K:make("mlp", ("msa_mlp_%dx%dx%d"):format(rows, C, hidden), env), C = C, ldc = ldc, rows = rows, tokens = tokens, adapter = adapter ~= nil }
  L.buffers = { x = tokens * ldc }
  L.macs = tokens * (2 * C * hidden + (width and 2 * C * width or 0))
end

return layer
