-- SPDX-License-Identifier: Apache-2.0
--- How long a scheduled build will take on its board: for every layer the larger of its multiply-adds at the rate that the
-- tiles' cost model expects, and its bytes (lua/costs.lua) at the memories' rates; then what is neither.
-- Work is counted from the operations of the graph, not from the kernels: a click of one point, no mask. Several cores have each
-- layer's work divided as their static split divides it.
-- Cycles are those of the board's core, by its file; seconds follow from rates (lua/plan.lua).
local activations = require "activations"
local closed = require "closed"
local cores = require "cores"
local costs = require "costs"
local encoder_attention = require "layers.encoder_attention"
local kernels = require "kernels"
local layer_kinds = require "layer_kinds"
local network = require "network"
local tiles = require "tiles"

local predict = {}

local round16 = kernels.round16

-- Vector instructions beside loads, stores and divisions, as templates/ has them: a vector's exponential with the logit's
-- subtraction, maximum and sum; a layer norm's three passes.
local EXP, NORM = 17, 6
-- Cycles: a row of a softmax or of a norm (two trees of 16, a square root or an exponential of its own), a value that is moved by
-- itself, a colour of a pixel that is resized and looked up, a call of a kernel.
local ROW, SCALAR, PIXEL, CALL = 90, 1.5, 12, 40

local work = {}
work.__index = work

-- Everything a layer does: products and element-wise cycles. `rows` is how many tokens its kernels take at a time.
local function new_work(build, L, rows)
  local board = build.board
  local core = board.core
  return setmetatable({ build = build, L = L, rows = rows, core = core, width = board.isa.width, products = {}, macs = 0, other = 0,
    arithmetic = 1 / core.fma_per_cycle, load = 1 / core.loads_per_cycle, store = 1 / (core.stores_per_cycle or 1), divide = core.divide or 8 }, work)
end

function work:product(rows, N, K, most)
  if rows <= 0 then return end
  self.products[#self.products + 1] = { rows = rows, N = N, K = K, most = most or self.rows }
  self.macs = self.macs + rows * N * K
end

-- `elements` in vectors: `instructions` of arithmetic, beside loads and stores.
function work:vectors(elements, instructions, loads, stores, divisions)
  local each = math.max(instructions * self.arithmetic + (divisions or 0) * self.divide, loads * self.load) + stores * self.store
  self.other = self.other + elements / self.width * each
end

function work:add(rows, width, operands) self:vectors(rows * round16(width), operands or 1, (operands or 1) + 1, 1) end
function work:activation(act, rows, width)
  local entry = activations.of(act, "predict: act")
  self:vectors(rows * round16(width), entry.instructions, 1, 1, entry.divisions)
end

function work:norm(rows, width)
  self:vectors(rows * round16(width), NORM, 3, 1)
  self.other = self.other + rows * ROW
end

-- `maps` softmax maps of queries by keys, `row` keys in a row of their grid.
function work:softmax(maps, queries, keys, row, relative)
  local tile = kernels.key_tile(keys, row)
  local count = (keys + tile - 1) // tile
  self:vectors(maps * queries * round16(keys), EXP, 2, 1)
  if relative then self:vectors(maps * queries * keys, 1, 1, 1) end
  self.other = self.other + maps * queries * count * ROW
end

-- Keys and values of `count` keys, `width` floats each in all heads together, put where attention reads them.
function work:pack(count, width) self.other = self.other + 2 * count * width * SCALAR end

-- Attention of `sets` sets of queries, each to its own keys, whose queries are scaled and whose keys are packed.
function work:attention(sets, queries, keys, row, heads, d, relative)
  self:product(sets * heads * queries, keys, d, math.min(queries, 128))
  self:product(sets * heads * queries, d, keys, math.min(queries, 128))
  self:softmax(sets * heads, queries, keys, row, relative)
  local tile = kernels.key_tile(keys, row)
  self:add(sets * queries * ((keys + tile - 1) // tile), heads * d)
end

function work:adapter(op, rows)
  local hidden, width = op.params.D_fc1_weight.shape[1], op.params.D_fc1_weight.shape[2]
  self:product(rows, hidden, width)
  self:activation(op.act, rows, hidden)
  self:product(rows, width, hidden)
end

local function shape(weight) return weight.shape[1], weight:numel() // weight.shape[1] end

-- What each operation costs; `tokens` is how many the layer has, padding left out.
local count = {}

function count.patch_embed(w, op, tokens)
  local N, K = shape(op.params.weight)
  w:product(tokens, N, K)
  w:add(tokens, N)
  w:add(tokens, N)
  w.other = w.other + tokens * K * PIXEL
end

function count.add_table(w, op, tokens) w:add(tokens, op.params.table:numel() // (op.params.table.shape[2] * op.params.table.shape[3])) end

function count.linear(w, op, tokens)
  local N, K = shape(op.params.weight)
  w:product(tokens, N, K)
end

function count.layernorm(w, op, tokens) w:norm(tokens, op.params.weight:numel()) end
function count.add(w, op, tokens) w:add(tokens, w.build.graph.values[op.outputs[1]].width, #op.inputs - 1) end
for _, act in ipairs(activations.computed) do
  count[act] = function(w, op, tokens) w:activation(act, tokens, w.build.graph.values[op.outputs[1]].width) end
end
function count.adapter(w, op, tokens) w:adapter(op, tokens) end
function count.window() end
count.unwindow = count.window

function count.grid_attention(w, op, tokens)
  local m, d = w.build.model, w.build.model.dim // op.heads
  local side, C = op.side, m.dim
  for _ = 1, 3 do w:product(tokens * op.heads, d, C, 128) end
  w:pack(tokens, C)
  w:add(tokens, C) -- the scale
  local along = (m.grid + side - 1) // side
  local rest = m.grid - (along - 1) * side
  local relative = op.params.rel_pos_h ~= nil
  for _, y in ipairs { { along - 1, side }, { 1, rest } } do
    for _, x in ipairs { { along - 1, side }, { 1, rest } } do
      local windows, keys = m.depth * y[1] * x[1], y[2] * x[2]
      if windows > 0 then
        w:attention(windows, keys, keys, x[2], op.heads, d, relative)
        if relative then w:product(windows * op.heads * keys, 2 * side, d, side) end
        -- Norms of a window that are too large to keep are made anew, for keys and for queries of each head.
        if not encoder_attention.keeps(keys, C) then w:norm(windows * keys * (2 * op.heads - 1), C) end
      end
    end
  end
end

function count.depth_attention(w, op)
  local m = w.build.model
  local C = m.dim
  local d, tokens = C // m.heads, m.depth * op.windows * op.windows * op.side * op.side
  w:norm(tokens, C)
  for _ = 1, 3 do w:product(tokens * m.heads, d, C, 128) end
  w:pack(tokens, C)
  w:add(tokens, C)
  w:attention(tokens // op.length, op.length, op.length, nil, m.heads, d, true)
  w:product(tokens, C, C)
  w:adapter(op, tokens)
end

function count.conv3x3(w, op, tokens)
  local E = op.params.weight.shape[1]
  w:product(9 * tokens, E, E)
  for _ = 1, 9 do w:add(tokens, E) end
end

-- Without a mask prompt: the embedding and one row.
function count.add_dense_prompt(w, _, tokens) w:add(tokens, w.build.model.out) end

-- What the attentions between tokens and image take of the image alone: keys and values, or queries.
local function image_side(w, op, image)
  local inner, E = shape(op.params.q_weight)
  if op.to == "image" then
    w:product(2 * image, inner, E)
    if op.key_position then w:add(image, E) end
    w:pack(image, inner)
  else
    w:product(image, inner, E)
    if op.query_position then w:add(image, E) end
    w:add(image, inner)
  end
end

function count.attention(w, op, _, rows, image)
  local inner, E = shape(op.params.q_weight)
  local queries, keys = op.from == "image" and image or rows, op.to == "image" and image or rows
  local ready = w.L.env and w.L.env.ready
  if op.from == "tokens" then
    w:product(rows, inner, E)
    if op.query_position then w:add(rows, E) end
    w:add(rows, inner)
  end
  if op.to == "tokens" then
    w:product(2 * rows, inner, E)
    if op.key_position then w:add(rows, E) end
    w:pack(rows, inner)
  end
  if op.from ~= op.to and not ready then image_side(w, op, image) end
  w:attention(1, queries, keys, nil, op.heads, inner // op.heads)
  w:product(queries, E, inner)
end

function count.prompt_adapter(w, op, tokens)
  local hidden, E = shape(op.params.D_fc1_weight)
  w:product(tokens, hidden, 2 * E)
  w:product(tokens, E, hidden)
end

function count.token_heads(w, op)
  local function stages(list)
    for _, stage in ipairs(list) do w:product(1, shape(stage.weight)) end
  end
  stages(op.iou)
  for _, list in ipairs(op.hyper) do stages(list) end
end

function count.conv_transpose2x2(w, op, tokens)
  local K, N = op.params.weight.shape[1], op.params.weight.shape[2]
  w:product(4 * tokens, N, K)
end

function count.mask_product(w, op, tokens)
  local m = w.build.model
  w:product(tokens, m.decoder.masks, m.decoder.upscaled2)
end

-- Cycles of one product, by the cost model that chose its tiles.
local function expected(build, M, N, K)
  local panels = (N + 15) // 16
  if build.kernels.plan then return build.kernels:plan({ M = M, N = N, K = K, panels = panels, init = "bias", act = "none", residual = false }).cycles end
  local _, _, step = tiles.choose(build.board.isa, build.board.core, M, panels)
  return step * K
end

local function product_cycles(w)
  local sum = 0
  for _, p in ipairs(w.products) do
    local M = math.min(p.rows, p.most)
    sum = sum + p.rows / M * (expected(w.build, M, p.N, p.K) + CALL)
  end
  return sum
end

-- The part of a layer's work that the core with most of it has.
local function share(L, build, tokens, rows)
  local n = build.graph.cores or 1
  if n == 1 or L.alone then return 1 end
  local units = (tokens + rows - 1) // rows
  if L.kind == "encoder_attention" then
    units = 0
    for _, kind in ipairs(L.env.kinds) do units = units + kind.heads end
  elseif L.kind == "token_to_image" then units = L.env.heads
  elseif L.kind == "patch_embed" or L.kind == "neck" then units = build.model.grid end
  return cores.largest_share(cores.split(units, n))
end

--- What a layer of build.graph.fused does in one call: { macs, busy = cycles of products, other = cycles of the rest, traffic,
-- blocks = how often it goes through its weights, share = the largest part of it that one core has }.
function predict.layer(L, build)
  local m = build.model
  local image, chunk = m.grid * m.grid, network.TOKEN_CHUNK
  local token_rows = (network.click_tokens(m) + chunk - 1) // chunk * chunk
  local count_of = { slices = m.depth * image, image = image, prompt = token_rows }
  local tokens, env = count_of[layer_kinds.of(L.kind, ("predict: layer %s"):format(L.name)).tokens], L.env or {}
  local rows = env.block or L.kind ~= "masks" and env.chunk or env.rows
  rows = math.type(rows) == "integer" and rows or math.min(tokens, 64)
  local w = new_work(build, L, rows)
  if L.kind == "prepare" then
    for _ = 1, m.depth do
      count.add_dense_prompt(w, nil, image)
      for i = 2, 3 do image_side(w, L.uses[i]:op "attention", image) end
    end
  end
  for i, op in ipairs(L) do
    local here = tokens
    -- The image grows on the way to the masks.
    if L.kind == "masks" and i > 1 then here = build.graph.values[op.inputs[1]].rows end
    if not count[op.kind] then closed.member(op.kind, closed.sorted(count), ("predict: layer %s: operation"):format(L.name)) end
    count[op.kind](w, op, here, token_rows, image)
  end
  return { macs = w.macs, busy = product_cycles(w), other = w.other, traffic = costs.traffic(L, build), blocks = (tokens + rows - 1) // rows, share = share(L, build, tokens, rows) }
end

return predict
