-- SPDX-License-Identifier: Apache-2.0
--- The image attends to the tokens, a block of image tokens at a time; the paper's image adapter; residual and norm.
local common = require "layers.decoder_attention"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K, rows, chunk, block = ctx.model, ctx.kernels, ctx.token_rows, ctx.token_chunk, ctx.block_rows
  local tokens = m.grid * m.grid
  local seg = segment.new(L.private)
  local a = common.projections(L, ctx, seg)
  local adapter = L:op "adapter"
  -- As many keys as the prompt may have, or one chunk of them for the usual few.
  local sizes = {}
  local s = scratch.new()
  s:take("positioned", chunk * a.lde)
  s:take("k", rows * a.ldi)
  s:take("v", rows * a.ldi)
  for i, keys in ipairs(rows > chunk and { chunk, rows } or { rows }) do
    local packed = K:keys { keys = keys, d = a.d }
    local attend, need = K:attend { M = block, keys = keys, d = a.d, ldq = a.ldi, ldo = a.ldi, counted = true }
    sizes[i] = { keys = keys, K_size = packed.k, V_size = packed.v, place = packed.place { count = keys, k_stride = a.ldi }, attend = attend, need = need, packed = packed }
  end
  local most = sizes[#sizes]
  s:take("kp", a.heads * most.packed.k)
  s:take("vp", a.heads * most.packed.v)
  s:take("image", block * a.lde)
  s:take("q", block * a.ldi)
  s:take("logits", most.need.s)
  s:take("acc", most.need.o)
  s:take("stat", most.need.stat)
  s:take("o", block * a.ldi)
  s:take("y", block * a.lde)
  L.env = { rows = rows, chunk = chunk, block = block, image_tokens = tokens, E = a.E, lde = a.lde, ldi = a.ldi, d = a.d, heads = a.heads, sizes = sizes, s = s.at, w = seg.at,
    project = a.project(chunk), project_image = a.project(block), scale = a.scale(block), out = a.output(block),
    sum = a.sum(chunk), sum_image = a.sum(block), add = a.add(block), norm = a.norm(block), adapter = adapter ~= nil }
  L.ready = { floats = tokens * a.ldi, macs = tokens * a.E * a.inner }
  L.macs = tokens * (2 * a.E * a.inner + 2 * ctx.click_tokens * a.inner) + ctx.click_tokens * 2 * a.E * a.inner
  if adapter then
    local b = common.adapter(adapter, ctx, seg, block, "fc")
    s:take("narrow", block * b.ldh)
    L.env.down, L.env.up = b.down, b.up
    L.macs = L.macs + tokens * 2 * a.E * b.hidden
  end
  L.segment = seg
  L.scratch = { shared = 0, own = s.size }
  L.buffers = { tokens = rows * a.lde, queries = rows * a.lde, keys = tokens * a.lde }
  L.position, L.counted = true, true
end

return layer
