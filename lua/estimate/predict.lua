-- SPDX-License-Identifier: Apache-2.0
--- How long a scheduled build will take on its board: for every layer the larger of its multiply-adds at the rate that
-- the tiles' cost model expects, and its bytes (lua/estimate/costs.lua) at the memories' rates; then what is neither.
-- Work is the calls of kernels that its step makes (lua/estimate/work.lua) times what each kernel takes: a click of one
-- point, no mask.
-- Several
-- cores have each stage's work divided as its static split divides it.
-- Cycles are those of the board's core, by its file; seconds follow from rates (lua/estimate/plan.lua).
local activations = require "graph.activations"
local closed = require "support.closed"
local cores = require "schedule.split"
local costs = require "estimate.costs"
local kernels = require "kernels.kernels"
local tiles = require "kernels.tiles"
local work = require "estimate.work"

local predict = {}

local round16 = kernels.round16

-- Vector instructions beside loads, stores and divisions, as templates/ has them: a vector's exponential with the
-- logit's subtraction, maximum and sum; a layer norm's three passes.
local EXP, NORM = 17, 6
-- Cycles: a row of a softmax or of a norm (two trees of 16, a square root or an exponential of its own), a value that
-- is moved by itself, a colour of a pixel that is resized and looked up, a call of a kernel.
local ROW, SCALAR, PIXEL, CALL = 90, 1.5, 12, 40

local Core = { EXP = EXP, NORM = NORM, ROW = ROW, SCALAR = SCALAR }
Core.__index = Core

local function core_of(build)
  local core = build.board.core
  return setmetatable({ build = build, width = build.board.isa.width, arithmetic = 1 / core.fma_per_cycle,
    load = 1 / core.loads_per_cycle, store = 1 / (core.stores_per_cycle or 1), divide = core.divide or 8 }, Core)
end

-- Cycles of `elements` in vectors: `instructions` of arithmetic, beside loads and stores.
function Core:vectors(elements, instructions, loads, stores, divisions)
  local each = math.max(instructions * self.arithmetic + (divisions or 0) * self.divide, loads * self.load)
    + stores * self.store
  return elements / self.width * each
end

function Core:elementwise(rows, width, operands)
  return self:vectors(rows * round16(width), operands, operands + 1, 1)
end

function Core:activation(act, rows, width)
  local entry = activations.of(act, "predict: act")
  return self:vectors(rows * round16(width), entry.instructions, 1, 1, entry.divisions)
end

-- A product, by the cost model that chose its tiles.
function Core:product(M, N, K)
  local panels, build = (N + 15) // 16, self.build
  if build.kernels.tiling then
    return CALL + build.kernels:tiling({ M = M, N = N, K = K, panels = panels, init = "bias", act = "none",
      residual = false }).cycles
  end
  local _, _, step = tiles.choose(build.board.isa, build.board.core, M, panels)
  return CALL + step * K
end

-- What a call of a kernel takes, by the template that it is made from: cycles of products, cycles of the rest,
-- multiply-adds.
local kernel = {}

function kernel.gemm(core, f)
  local other = f.act ~= "none" and core:activation(f.act, f.M, f.N) or 0
  return core:product(f.M, f.N, f.K), other, f.M * f.N * f.K
end

for name, operands in pairs { sum = 1, add = 1, add2 = 2, add3 = 3, addscaled = 2, multiply = 1, scale = 1,
  scaled = 1, times = 1 } do
  kernel["rows_" .. name] = function(core, f) return 0, core:elementwise(f.rows, f.width, operands), 0 end
end
function kernel.rows_act(core, f) return 0, core:activation(f.act, f.rows, f.width), 0 end

for name, kind in pairs(kernels.kinds) do kernel[name] = kind.cycles end

-- The part of a loop's units that is core c's, from 1.
local function share_of(node, c, count)
  local bounds = node.units.bounds or cores.split(node.units.count, count)
  return (bounds[c + 1] - bounds[c]) / node.units.count
end

-- The cycles of a stage on the core that has most of them. @param loops { [loop or false] = { busy, other } }: false
-- for what each core does, or one alone
local function slowest(stage, loops, count)
  local most
  for c = 1, stage.who == "units" and count or 1 do
    local mine = { busy = 0, other = 0 }
    for node, cycles in pairs(loops) do
      local share = node and stage.who == "units" and count > 1 and share_of(node, c, count) or 1
      mine.busy, mine.other = mine.busy + share * cycles.busy, mine.other + share * cycles.other
    end
    if not most or mine.busy + mine.other > most.busy + most.other then most = mine end
  end
  return most
end

-- What a node takes: cycles of products, cycles of the rest, multiply-adds.
local function work_of(core, node)
  if node.node == "call" then
    local one = core.build.kernels.described[node.name]
    local of = kernel[one.file] or closed.member(one.file, closed.sorted(kernel), "predict: kernel")
    return of(core, one.fields)
  end
  return 0, node.node == "c" and (node.work.pixels or 0) * 3 * PIXEL or 0, 0
end

-- Add a step's work to w: cycles of the core that has most of each stage, and multiply-adds.
local function add_step(w, step, build)
  local core, stages, order = core_of(build), {}, {}
  work.walk(step, build.graph.click_tokens, function(node, trips, stage, _, units)
    if not stages[stage] then
      stages[stage] = {}
      order[#order + 1] = stage
    end
    local loops, busy, other, macs = stages[stage], work_of(core, node)
    local sum = loops[units or false] or { busy = 0, other = 0 }
    loops[units or false] = sum
    sum.busy, sum.other, w.macs = sum.busy + trips * busy, sum.other + trips * other, w.macs + trips * macs
  end)
  for _, stage in ipairs(order) do
    local most = slowest(stage, stages[stage], build.graph.cores or 1)
    w.busy, w.other = w.busy + most.busy, w.other + most.other
  end
end

--- What a layer of build.graph.fused does in one call: { macs, busy = cycles of products, other = cycles of the rest,
-- both of the core that has most of each stage, traffic }.
function predict.layer(L, build)
  local w = { macs = 0, busy = 0, other = 0, traffic = costs.traffic(L, build) }
  if not L.uses then add_step(w, L.lowered, build) end
  for _, used in ipairs(L.uses or {}) do
    for _ = 1, build.model.depth do add_step(w, used == L.dense and used.lowered or used.prepare, build) end
  end
  return w
end

return predict
