-- SPDX-License-Identifier: Apache-2.0
--- The MLPs of encoder and decoder whose weights come in pieces: of each group of hidden columns lin1's panels and lin2's rows. All
-- tokens meet a group before the next; lin2's sums go on where the group before left them, so the chain over k is the same.
local kernels = require "kernels"
local scratch = require "scratch"
local segment = require "segment"
local stream = require "stream"

local round16, stride = kernels.round16, kernels.stride

local pieces = {}

-- The segment of an MLP: what is held, the groups, the adapter. @return segment, groups, hidden columns of each, places in the pieces
local function layout(L, ctx, norm, up, down, adapter)
  local seg, C, hidden = segment.new(), ctx.C, up.params.weight.shape[1]
  local unit = hidden % 16 == 0 and 16 or hidden
  local count = hidden // unit
  local width = unit * stream.group(count, function(n) return round16(n * unit) * (C + 1) + n * unit * round16(C) end, ctx.limit)
  local p = {}
  seg:piece(true)
  seg:norm("norm", norm.params)
  p.norm = seg:inside "norm"
  seg:vector("lin2_bias", C, function() return down.params.bias end, segment.of(down.params.bias))
  p.lin2_bias = seg:inside "lin2_bias"
  for j = 0, hidden // width - 1 do
    local lin1, bias, lin2 = "lin1_" .. j, "lin1_bias_" .. j, "lin2_" .. j
    seg:piece()
    seg:outputs(lin1, up.params.weight, j * width, width)
    seg:range(bias, up.params.bias, j * width, width)
    seg:inputs(lin2, down.params.weight, j * width, width)
    p.lin1, p.lin1_bias, p.lin2 = seg:inside(lin1), seg:inside(bias), seg:inside(lin2)
  end
  local narrow
  if adapter then
    seg:piece()
    narrow = seg:linear("fc1", adapter.params.D_fc1_weight, adapter.params.D_fc1_bias)
    seg:linear("fc2", adapter.params.D_fc2_weight, adapter.params.D_fc2_bias)
    for _, role in ipairs { "fc1", "fc1_bias", "fc2", "fc2_bias" } do p[role] = seg:inside(role) end
  end
  return seg, hidden // width, width, p, narrow
end

--- An encoder block's MLP.
function pieces.encoder(L, ctx)
  local m, K, rows = ctx.model, ctx.kernels, ctx.block_rows
  local norm, up, down, adapter = L:op "layernorm", L:op("linear", 1), L:op("linear", 2), L:op "adapter"
  local C, hidden = m.dim, up.params.weight.shape[1]
  local tokens = m.depth * m.grid * m.grid
  local seg, groups, width, p, narrow = layout(L, { C = C, limit = ctx.limit }, norm, up, down, adapter)
  local ldc, ldh, ldn = stride(C), stride(width), narrow and stride(narrow)
  L.segment, L.template = seg, "encoder_mlp_pieces"
  local shared, own = scratch.new(), scratch.new()
  shared:take("y", tokens * ldc)
  own:take("n", rows * ldc)
  own:take("hidden", rows * ldh)
  if adapter then
    own:take("narrow", rows * ldn)
    own:take("a", rows * ldc)
  end
  L.scratch = { shared = shared.size, own = own.size }
  local f = { C = C, hidden = hidden, width = width, rows = rows, ldc = ldc, s = own.at, p = p, layout = seg:signature(), adapter = adapter ~= nil }
  f.norm = K:layernorm { rows = rows, C = C, ldx = ldc, ldy = ldc, eps = norm.eps }
  f.lin1 = K:gemm { M = rows, N = width, K = C, lda = ldc, ldc = ldh, init = "bias", act = "gelu" }
  f.lin2 = K:gemm { M = rows, N = C, K = width, lda = ldh, ldc = ldc, init = "keep" }
  f.bias = K:rows("add", { rows = rows, C = C, ldx = 0, ldy = ldc })
  if adapter then
    f.fc1 = K:gemm { M = rows, N = narrow, K = C, lda = ldc, ldc = ldn, init = "bias", act = adapter.act }
    f.fc2 = K:gemm { M = rows, N = C, K = narrow, lda = ldn, ldc = ldc, init = "bias" }
    f.add = K:rows("addscaled", { rows = rows, C = C, ldx = ldc, ldy = ldc, ldz = ldc, s = L:op("add", 1).scale })
  else
    f.add = K:rows("add", { rows = rows, C = C, ldx = ldc, ldy = ldc })
  end
  L.env = { part = K:make("mlp_part", ("msa_mlp_part_%dx%dx%d"):format(rows, C, width), f), last = K:make("mlp_end", ("msa_mlp_end_%dx%d"):format(rows, C), f),
    C = C, ldc = ldc, rows = rows, tokens = tokens, groups = groups, adapter = adapter ~= nil, s = shared.at }
  L.buffers = { x = tokens * ldc }
  L.macs = tokens * (2 * C * hidden + (narrow and 2 * C * narrow or 0))
end

--- The MLP on the decoder's tokens. @param a the adapter's kernels, or nil
function pieces.tokens(L, ctx, a)
  local K, rows, E, tokens = ctx.kernels, ctx.token_chunk, ctx.model.out, ctx.click_tokens
  local norm, up, down, adapter = L:op "layernorm", L:op("linear", 1), L:op("linear", 2), L:op "adapter"
  local hidden = up.params.weight.shape[1]
  local seg, groups, width, p = layout(L, { C = E, limit = ctx.limit }, norm, up, down, adapter)
  local lde, ldh = stride(E), stride(width)
  L.segment, L.template = seg, "token_mlp_pieces"
  local s = scratch.new()
  s:take("hidden", rows * ldh)
  s:take("y", ctx.token_rows * lde)
  L.env = { rows = ctx.token_rows, chunk = rows, E = E, hidden = hidden, groups = groups, width = width, lde = lde, s = s.at, p = p, adapter = adapter ~= nil,
    lin1 = K:gemm { M = rows, N = width, K = E, lda = lde, ldc = ldh, init = "bias", act = "relu" },
    lin2 = K:gemm { M = rows, N = E, K = width, lda = ldh, ldc = lde, init = "keep" },
    bias = K:rows("add", { rows = rows, C = E, ldx = 0, ldy = lde }),
    norm = K:layernorm { rows = rows, C = E, ldx = lde, ldy = lde, eps = norm.eps } }
  L.macs = tokens * 2 * E * hidden
  if a then
    s:take("narrow", rows * a.ldh)
    s:take("a", rows * lde)
    L.env.down, L.env.up = a.down, a.up
    L.env.add = K:rows("addscaled", { rows = rows, C = E, ldx = lde, ldy = lde, ldz = lde, s = L:op("add", 1).scale })
    L.macs = L.macs + tokens * 2 * E * a.hidden
  else
    L.env.add = K:rows("add", { rows = rows, C = E, ldx = lde, ldy = lde })
  end
  L.scratch = { shared = s.size, own = 0 }
  L.buffers = { queries = ctx.token_rows * lde }
  L.counted, L.alone = true, true
end

return pieces
