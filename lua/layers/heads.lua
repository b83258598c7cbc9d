-- SPDX-License-Identifier: Apache-2.0
--- The MLPs on output tokens: one IoU prediction, and a hypernetwork for every mask, whose results become the columns of
-- the matrix that the masks are made with.
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"

local layer = {}

function layer.prepare(L, ctx)
  local m, K, rows = ctx.model, ctx.kernels, ctx.token_rows
  local op = L:op "token_heads"
  local E, masks = m.out, m.decoder.masks
  local lde = kernels.stride(E)
  local seg = segment.new(L.private)
  local widest, macs = 0, 0
  local function stages(role, list)
    local out, width = {}, E
    for i, stage in ipairs(list) do
      local N = seg:linear(role .. "_" .. i, stage.weight, stage.bias)
      out[i] = { kernel = K:gemm { M = 1, N = N, K = width, lda = 16, ldc = 16, init = "bias", act = i < #list and "relu" or "none" }, w = seg.at[role .. "_" .. i], bias = seg.at[role .. "_" .. i .. "_bias"] }
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
  L.alone = true
  L.env = { E = E, masks = masks, lde = lde, width = width, panels = (masks + 15) // 16, iou = iou, hyper = hyper, s = s.at, w = seg.at }
  L.buffers = { queries = rows * lde, hyper = (masks + 15) // 16 * 16 * width, iou = kernels.round16(masks) }
  L.macs = macs
end

return layer
