-- SPDX-License-Identifier: Apache-2.0
--- The image attends to the tokens, a block of image tokens at a time; the paper's image adapter; residual and norm.
local common = require "layers.decoder_attention"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K, rows, block = ctx.model, ctx.kernels, ctx.token_rows, ctx.block_rows
  local tokens = m.grid * m.grid
  local seg = segment.new(L.private)
  local a = common.projections(L, ctx, seg)
  local adapter = L:op "adapter"
  local packed = K:keys { keys = rows, d = a.d }
  local attend, sizes = K:attend { M = block, keys = rows, d = a.d, ldq = a.ldi, ldo = a.ldi, counted = true }
  local s = scratch.new()
  s:take("positioned", rows * a.lde)
  s:take("k", rows * a.ldi)
  s:take("v", rows * a.ldi)
  s:take("kp", a.heads * packed.k)
  s:take("vp", a.heads * packed.v)
  s:take("image", block * a.lde)
  s:take("q", block * a.ldi)
  s:take("logits", sizes.s)
  s:take("acc", sizes.o)
  s:take("stat", sizes.stat)
  s:take("o", block * a.ldi)
  s:take("y", block * a.lde)
  L.env = { rows = rows, block = block, image_tokens = tokens, E = a.E, lde = a.lde, ldi = a.ldi, d = a.d, heads = a.heads, K_size = packed.k, V_size = packed.v, s = s.at, w = seg.at,
    project = a.project(rows), project_image = a.project(block), scale = a.scale(block), place = packed.place { count = rows, k_stride = a.ldi }, attend = attend, out = a.output(block),
    sum = a.sum(rows), sum_image = a.sum(block), add = a.add(block), norm = a.norm(block), adapter = adapter ~= nil }
  L.macs = tokens * (2 * a.E * a.inner + 2 * rows * a.inner) + rows * 2 * a.E * a.inner
  if adapter then
    local b = common.adapter(adapter, ctx, seg, block, "fc")
    s:take("narrow", block * b.ldh)
    L.env.down, L.env.up = b.down, b.up
    L.macs = L.macs + tokens * 2 * a.E * b.hidden
  end
  L.segment = seg
  L.scratch = s.size
  L.buffers = { tokens = rows * a.lde, queries = rows * a.lde, keys = tokens * a.lde }
  L.position, L.counted = true, true
end

return layer
