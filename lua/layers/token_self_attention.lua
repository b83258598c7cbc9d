-- SPDX-License-Identifier: Apache-2.0
--- Self-attention among the decoder's tokens.
local common = require "layers.decoder_attention"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local K, rows, chunk = ctx.kernels, ctx.token_rows, ctx.token_chunk
  local seg = segment.new(L.private)
  local a = common.projections(L, ctx, seg)
  L.segment = seg
  local packed = K:keys { keys = rows, d = a.d }
  local attend, sizes = K:attend { M = chunk, keys = rows, d = a.d, ldq = a.ldi, ldo = a.ldi, counted = true }
  local s = scratch.new()
  s:take("positioned", chunk * a.lde)
  s:take("q", rows * a.ldi)
  s:take("k", rows * a.ldi)
  s:take("v", rows * a.ldi)
  s:take("kp", packed.k)
  s:take("vp", packed.v)
  s:take("logits", sizes.s)
  s:take("acc", sizes.o)
  s:take("stat", sizes.stat)
  s:take("o", rows * a.ldi)
  s:take("y", chunk * a.lde)
  L.scratch = { shared = s.size, own = 0 }
  -- The position may be added for q and k alone, or once and for good, values and residual included.
  local stays = L[1].kind == "add"
  local residual = false
  for _, op in ipairs(L) do residual = residual or (op.kind == "add" and op ~= L[1]) end
  L.env = { rows = rows, chunk = chunk, E = a.E, lde = a.lde, ldi = a.ldi, d = a.d, heads = a.heads, s = s.at, w = seg.at, stays = stays, residual = residual,
    positioned = a.query_position, first = L:op("attention").inputs[1] == "tokens" or (stays and L[1].inputs[1] == "tokens"),
    project = a.project(chunk), scale = a.scale(chunk), place = packed.place { count = rows, k_stride = a.ldi }, attend = attend, out = a.output(chunk), sum = a.sum(chunk),
    add = a.add(chunk), norm = a.norm(chunk) }
  L.buffers = { tokens = rows * a.lde, queries = rows * a.lde }
  L.macs = ctx.click_tokens * (4 * a.E * a.inner + 2 * ctx.click_tokens * a.inner)
  L.counted, L.alone = true, true
end

return layer
