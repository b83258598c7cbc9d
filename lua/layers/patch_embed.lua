-- SPDX-License-Identifier: Apache-2.0
--- The image, resized and normalised a row at a time, to tokens: convolution with stride P as a matrix product for each colour, plus
-- the absolute position. Normalisation is a table of 256 values a channel; padding to a square is 0 after normalisation.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"
local stream = require "stream"
local tensor = require "msagen.tensor"

local layer = {}

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local embed, position = L:op "patch_embed", L:op "add_table"
  local C, g, P, S = m.dim, m.grid, m.patch, m.image_size
  local ldc = kernels.stride(C)
  local length = 3 * P * P
  local lda = kernels.stride(length)
  local seg = segment.new(L.private)
  -- In pieces: the projection by columns, for each of which the image is resized anew, then positions of some rows of the grid at a time,
  -- which are added to x where it lies.
  local in_pieces = ctx.in_pieces(768 + (length + 1) * kernels.round16(C) + g * g * ldc)
  local at_once = in_pieces and stream.group(g, function(n) return n * g * ldc end, ctx.limit)
  if in_pieces then seg:piece(true) end
  seg:vector("levels", 768, function()
    local t = {}
    for c = 1, 3 do
      for v = 0, 255 do t[#t + 1] = (v - embed.normalise.mean[c]) / embed.normalise.std[c] end
    end
    return tensor.from(t, { 768 })
  end, segment.of())
  local columns = C
  if in_pieces then
    local unit = C % 16 == 0 and 16 or C
    columns = unit * stream.group(C // unit, function(n) return length * kernels.round16(n * unit) end, ctx.limit)
    local bias = embed.params.bias
    if bias then seg:vector("proj_bias", C, function() return bias end, segment.of(bias)) end
    for c = 0, C - 1, columns do
      seg:piece()
      seg:outputs("proj_" .. c, embed.params.weight, c, columns)
    end
  else
    seg:linear("proj", embed.params.weight, embed.params.bias)
  end
  local table_ = position.params.table
  local function positions(role, first, rows)
    seg:rows(role, rows * g, C, ldc, function()
      return table_:reshape { g * g, C }:slice(1, first * g, rows * g):rename(table_.name)
    end, segment.of(table_))
  end
  if in_pieces then
    for y = 0, g - 1, at_once do
      seg:piece().work = 0 -- of multiply-adds: there is no time to fetch another in
      positions("position_" .. y, y, at_once)
    end
  else
    positions("position", 0, g)
  end
  L.segment = seg
  local s = scratch.new()
  s:take("a", g * lda)
  s:take("y", g * ldc)
  s:take("product", g * ldc)
  s:take("row", (S * 3 + 3) // 4)
  -- MSA_RESIZE_WORK_BYTES of runtime/msa_runtime.h; the generated text asserts that it is enough.
  local resizer = 4 * (2 * 16384 + 3 * S) + 16 * S + 32768 + 12 * S
  s:take("resizer", (resizer + 3) // 4)
  L.scratch = { shared = 0, own = s.size }
  L.env = { at_once = at_once or false, add_position = in_pieces and K:rows("add", { rows = g, C = C, ldx = ldc, ldy = ldc }), resizer_bytes = (resizer + 63) // 64 * 64, C = C, grid = g, patch = P, size = S, ldc = ldc, lda = lda, s = s.at, w = seg.at, slices = m.depth, longest = m.resize == "longest",
    columns = columns,
    first = K:gemm { M = g, N = columns, K = P * P, lda = lda, ldc = ldc, bps = length * 16, init = embed.params.bias and "bias" or "zero" }, bias = embed.params.bias ~= nil,
    other = K:gemm { M = g, N = columns, K = P * P, lda = lda, ldc = ldc, bps = length * 16 }, add = K:rows("add", { rows = g, C = columns, ldx = ldc, ldy = ldc }),
    sum = not in_pieces and K:rows("sum", { rows = g, C = C, ldx = ldc, ldy = ldc, ldz = ldc }) or false }
  if in_pieces then L.template = "patch_embed_pieces" end
  L.buffers = { x = m.depth * g * g * ldc }
  L.macs = m.depth * g * g * length * C
  L.image = true
end

return layer
