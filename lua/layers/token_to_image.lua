-- SPDX-License-Identifier: Apache-2.0
--- Tokens attend to the image: keys and values of a block of image tokens at a time go straight to where attention reads
-- them; the prompt adapter; residual and norm.
local common = require "layers.decoder_attention"
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"
local tensor = require "msagen.tensor"

local layer = {}

function layer.prepare(L, ctx)
  local m, K, rows, chunk, block = ctx.model, ctx.kernels, ctx.token_rows, ctx.token_chunk, ctx.block_rows
  local tokens = m.grid * m.grid
  local seg = segment.new(L.private)
  local a = common.projections(L, ctx, seg)
  local adapter = L:op "prompt_adapter"
  local packed = K:keys { keys = tokens, d = a.d }
  local attend, sizes = K:attend { M = chunk, keys = tokens, d = a.d, ldq = a.ldi, ldo = a.ldi }
  local s, own = scratch.new(), scratch.new()
  s:take("kp", a.heads * packed.k)
  s:take("vp", a.heads * packed.v)
  s:take("positioned", chunk * a.lde)
  s:take("q", rows * a.ldi)
  s:take("o", rows * a.ldi)
  s:take("y", chunk * a.lde)
  own:take("image", block * a.lde)
  own:take("k", block * a.ldi)
  own:take("v", block * a.ldi)
  own:take("logits", sizes.s)
  own:take("acc", sizes.o)
  own:take("stat", sizes.stat)
  L.env = { rows = rows, chunk = chunk, block = block, image_tokens = tokens, E = a.E, lde = a.lde, ldi = a.ldi, d = a.d, heads = a.heads, K_size = packed.k, V_size = packed.v,
    s = s.at, p = own.at, w = seg.at, project = a.project(chunk), project_image = a.project(block), scale = a.scale(chunk), place = packed.place { count = block, k_stride = a.ldi },
    attend = attend, out = a.output(chunk), sum = a.sum(chunk), sum_image = a.sum(block), add = a.add(chunk), norm = a.norm(chunk), adapter = adapter ~= nil }
  L.ready = { floats = a.heads * (packed.k + packed.v), macs = tokens * 2 * a.E * a.inner }
  L.macs = ctx.click_tokens * (2 * a.E * a.inner + 2 * tokens * a.inner) + L.ready.macs
  if adapter then
    local p = adapter.params
    local hidden, E = p.D_fc1_weight.shape[1], a.E
    local ldh = kernels.stride(hidden)
    -- D_fc1 a + D_fcp p: one sum, so one bias.
    local function weight(role, t)
      seg:panels(role, E, hidden, function() return t:transpose():rename(t.name) end, segment.of(t))
    end
    weight("fc1", p.D_fc1_weight)
    seg:vector("fc1_bias", hidden, function()
      local b = p.D_fc1_bias or tensor.zeros { hidden }
      return p.D_fcp_bias and b:add(p.D_fcp_bias):rename(p.D_fcp_bias.name) or b
    end, segment.of(p.D_fc1_bias, p.D_fcp_bias))
    weight("fcp", p.D_fcp_weight)
    seg:linear("fc2", p.D_fc2_weight, p.D_fc2_bias)
    s:take("hidden", chunk * ldh)
    s:take("a", chunk * a.lde)
    L.env.fc1 = K:gemm { M = chunk, N = hidden, K = E, lda = a.lde, ldc = ldh, init = "bias" }
    L.env.fcp = K:gemm { M = chunk, N = hidden, K = E, lda = a.lde, ldc = ldh, init = "keep", act = "relu" }
    L.env.fc2 = K:gemm { M = chunk, N = E, K = hidden, lda = ldh, ldc = a.lde, init = "bias" }
    L.macs = L.macs + ctx.click_tokens * 3 * E * hidden
  end
  L.segment = seg
  L.scratch = { shared = s.size, own = own.size }
  L.buffers = { tokens = rows * a.lde, queries = rows * a.lde, keys = tokens * a.lde }
  L.position, L.counted, L.barriers = true, true, true
end

return layer
