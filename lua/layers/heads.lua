-- SPDX-License-Identifier: Apache-2.0
--- The MLPs on output tokens: one IoU prediction, and a hypernetwork for every mask, whose results become the columns of
-- the matrix that the masks are made with.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

--- Floats of all weights.
function layer.floats(op, E)
  local sum = 0
  for _, list in ipairs { op.iou, table.unpack(op.hyper) } do
    local width = E
    for _, stage in ipairs(list) do
      local N = stage.weight.shape[1]
      sum = sum + kernels.round16(N) * (width + 1)
      width = N
    end
  end
  return sum
end

function layer.prepare(L, ctx)
  local m, K, rows = ctx.model, ctx.kernels, ctx.token_rows
  local op = L:op "token_heads"
  local E, masks = m.out, m.decoder.masks
  local lde = kernels.stride(E)
  local seg = segment.new(L.private)
  local widest, macs = 0, 0
  local in_pieces = ctx.in_pieces(layer.floats(op, E))
  local function stages(role, list)
    local out, width = {}, E
    if in_pieces then seg:piece() end
    for i, stage in ipairs(list) do
      local N = seg:linear(role .. "_" .. i, stage.weight, stage.bias)
      out[i] = { kernel = K:gemm { M = 1, N = N, K = width, lda = 16, ldc = 16, init = "bias", act = i < #list and "relu" or "none" }, w = in_pieces and seg:inside(role .. "_" .. i) or seg.at[role .. "_" .. i], bias = in_pieces and seg:inside(role .. "_" .. i .. "_bias") or seg.at[role .. "_" .. i .. "_bias"] }
      macs = macs + N * width
      width = N
      widest = math.max(widest, kernels.round16(N))
    end
    return out, width
  end
  local iou = stages("iou", op.iou)
  local hyper, width = {}, nil
  for i, list in ipairs(op.hyper) do hyper[i], width = stages("hyper_" .. (i - 1), list) end
  L.segment = seg
  local s = scratch.new()
  s:take("a", widest)
  s:take("b", widest)
  L.scratch = { shared = s.size, own = 0 }
  L.alone, L.template = true, in_pieces and "heads_pieces" or nil
  L.env = { E = E, masks = masks, lde = lde, width = width, panels = (masks + 15) // 16, iou = iou, hyper = hyper, s = s.at, w = seg.at }
  L.buffers = { queries = rows * lde, hyper = (masks + 15) // 16 * 16 * width, iou = kernels.round16(masks) }
  L.macs = macs
end

return layer
