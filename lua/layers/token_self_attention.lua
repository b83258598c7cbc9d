-- SPDX-License-Identifier: Apache-2.0
--- Self-attention among the decoder's tokens.
local common = require "layers.decoder_attention"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local K, rows = ctx.kernels, ctx.token_rows
  local seg = segment.new(L.private)
  local a = common.projections(L, ctx, seg)
  L.segment = seg
  local packed = K:keys { keys = rows, d = a.d }
  local attend, sizes = K:attend { M = rows, keys = rows, d = a.d, ldq = a.ldi, ldo = a.ldi, counted = true }
  local s = scratch.new()
  s:take("positioned", rows * a.lde)
  s:take("q", rows * a.ldi)
  s:take("k", rows * a.ldi)
  s:take("v", rows * a.ldi)
  s:take("kp", packed.k)
  s:take("vp", packed.v)
  s:take("logits", sizes.s)
  s:take("acc", sizes.o)
  s:take("stat", sizes.stat)
  s:take("o", rows * a.ldi)
  s:take("y", rows * a.lde)
  L.scratch = s.size
  -- The position may be added for q and k alone, or once and for good, values and residual included.
  local stays = L[1].kind == "add"
  local residual = false
  for _, op in ipairs(L) do residual = residual or (op.kind == "add" and op ~= L[1]) end
  L.env = { rows = rows, E = a.E, lde = a.lde, ldi = a.ldi, d = a.d, heads = a.heads, s = s.at, w = seg.at, stays = stays, residual = residual,
    positioned = a.query_position, first = L:op("attention").inputs[1] == "tokens" or (stays and L[1].inputs[1] == "tokens"),
    project = a.project(rows), scale = a.scale(rows), place = packed.place { count = rows, k_stride = a.ldi }, attend = attend, out = a.output(rows), sum = a.sum(rows), add = a.add(rows), norm = a.norm(rows) }
  L.buffers = { tokens = rows * a.lde, queries = rows * a.lde }
  L.macs = rows * (4 * a.E * a.inner + 2 * rows * a.inner)
  L.counted = true
end

return layer
