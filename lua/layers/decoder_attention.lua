-- SPDX-License-Identifier: Apache-2.0
--- The decoder's three kinds of attention: among tokens, tokens to image, image to tokens; each with its projections,
-- adapters, residual and norm. Token matrices always have their largest number of rows; keys past the count of the prompt
-- weigh nothing, so one click and sixteen take the same time.
local kernels = require "kernels"

local stride = kernels.stride

local common = {}

--- Weights and kernels of the four projections. `from` and `to` are the rows of the query and key sides.
function common.projections(L, ctx, seg)
  local op, K = L:op "attention", ctx.kernels
  local p = op.params
  local inner, E = p.q_weight.shape[1], ctx.model.out
  local a = { inner = inner, E = E, heads = op.heads, d = inner // op.heads, lde = stride(E), ldi = stride(inner),
    query_position = op.query_position, key_position = op.key_position }
  for _, part in ipairs { "q", "k", "v", "out" } do seg:linear(part, p[part .. "_weight"], p[part .. "_bias"]) end
  function a.project(rows) return K:gemm { M = rows, N = inner, K = E, lda = a.lde, ldc = a.ldi, init = "bias" } end
  function a.output(rows) return K:gemm { M = rows, N = E, K = inner, lda = a.ldi, ldc = a.lde, init = "bias" } end
  function a.scale(rows) return K:rows("scale", { rows = rows, C = inner, ldx = a.ldi, s = 1 / math.sqrt(a.d) }) end
  function a.sum(rows) return K:rows("sum", { rows = rows, C = E, ldx = a.lde, ldy = a.lde, ldz = a.lde }) end
  function a.add(rows) return K:rows("add", { rows = rows, C = E, ldx = a.lde, ldy = a.lde }) end
  local norm = L:op "layernorm"
  function a.norm(rows) return K:layernorm { rows = rows, C = E, ldx = a.lde, ldy = a.lde, eps = norm.eps } end
  seg:norm("norm", norm.params)
  return a
end

--- The weights and kernels of an adapter on `rows` rows of E. @return fields down, up, ldh
function common.adapter(op, ctx, seg, rows, role)
  local K, E = ctx.kernels, ctx.model.out
  local hidden = seg:linear(role .. "1", op.params.D_fc1_weight, op.params.D_fc1_bias)
  seg:linear(role .. "2", op.params.D_fc2_weight, op.params.D_fc2_bias)
  local ldh, lde = stride(hidden), stride(E)
  return { hidden = hidden, ldh = ldh, down = K:gemm { M = rows, N = hidden, K = E, lda = lde, ldc = ldh, init = "bias", act = op.act },
    up = K:gemm { M = rows, N = E, K = hidden, lda = ldh, ldc = lde, init = "bias" } }
end

return common
