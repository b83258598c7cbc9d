-- SPDX-License-Identifier: Apache-2.0
-- The layout of memory: buffers that live at once do not overlap, nothing is smaller than the largest live set, little
-- is larger.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local memory = require "schedule.memory"

local function lines(n) return (n + 63) // 64 * 64 end

--- The layout against lifetimes worked out here, from what each layer touches.
local function check(g, model)
  local layout, lives = g.memory, {}
  local step, last = 0, 0
  local function touch(name, bytes, offset, at)
    local life = lives[name] or { name = name, bytes = bytes, offset = offset, first = at, last = at }
    equal(life.offset, offset, name)
    equal(life.bytes, bytes, name)
    life.last = at
    lives[name] = life
  end
  local decoding = false
  for _, L in ipairs(g.fused) do
    step = step + 1
    if L.phase == "decode" and not decoding then
      decoding = true
      touch("tokens", g.memory.by_name.tokens.bytes, g.memory.by_name.tokens.offset, step) -- made before the decoder
      step = step + 1
    end
    for name, bytes in pairs(L.buffers) do touch(name, lines(bytes), L.at[name], step) end
    if L.scratch > 0 then touch("scratch " .. L.name, lines(L.scratch), L.scratch_at, step) end
    last = step
  end
  for _, name in ipairs { "embedding", "logits", "iou" } do lives[name].last = last + 1 end -- read after the last layer
  if model.depth > 1 then
    local stage = layout.by_name.stage
    assert(stage.bytes >= model.depth * (lives.logits.bytes + 4 * model.decoder.masks))
    lives.stage = { name = "stage", bytes = stage.bytes, offset = stage.offset, first = lives.tokens.first,
      last = last + 1 }
  end
  local list, top = {}, 0
  for _, life in pairs(lives) do
    list[#list + 1] = life
    assert(life.offset >= 0 and life.offset % 64 == 0, life.name)
    top = math.max(top, life.offset + life.bytes)
  end
  equal(layout.bytes, top, "arena")
  for i, a in ipairs(list) do
    for j = i + 1, #list do
      local b = list[j]
      local together = a.first <= b.last and b.first <= a.last
      local apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
      assert(apart or not together, a.name .. " and " .. b.name .. " overlap")
    end
  end
  local bound = 0
  for at = 1, last + 1 do
    local sum = 0
    for _, life in ipairs(list) do
      if life.first <= at and at <= life.last then sum = sum + life.bytes end
    end
    bound = math.max(bound, sum)
  end
  equal(layout.bound, bound, "bound")
  assert(bound <= layout.bytes)
end

--- A made-up chain of layers with buffers of random sizes and lives.
local function random_graph(seed)
  math.randomseed(seed)
  local layers, count = {}, math.random(4, 30)
  local middle = math.random(2, count)
  for i = 1, count do
    layers[i] = { name = "layer_" .. i, phase = i < middle and "encode" or "decode", group = { op = function() end },
      scratch = math.random(0, 3) * math.random(1, 500), buffers = {} }
  end
  local function lives(name, first, last, bytes)
    for i = first, last do
      if i == first or i == last or math.random(2) == 1 then layers[i].buffers[name] = bytes end
    end
  end
  for k = 1, math.random(1, 12) do
    local a, b = math.random(1, count), math.random(1, count)
    lives("b" .. k, math.min(a, b), math.max(a, b), math.random(1, 2000))
  end
  lives("tokens", middle, count, 300)
  lives("embedding", math.max(1, middle - 1), middle, 700)
  lives("logits", count, count, 900)
  lives("iou", count, count, 16)
  return { fused = layers }, { depth = math.random(1, 3), decoder = { masks = 4 } }
end

describe("the layout of memory", function()
  it("of made-up layers", function()
    for seed = 1, 300 do
      local g, model = random_graph(seed)
      check(memory(g, model), model)
    end
  end)

  it("has a line at each end where it is guarded, and is the same between them", function()
    for seed = 1, 50 do
      local plain, guarded = memory(random_graph(seed)), random_graph(seed)
      guarded.guards = true
      local _, model = random_graph(seed)
      local layout = memory(guarded, model).memory
      equal(layout.bytes, plain.memory.bytes + 128)
      equal(layout.bound, plain.memory.bound + 128)
      equal(layout.canaries, { 0, layout.bytes - 64 })
      for i, b in ipairs(layout.buffers) do
        equal({ b.name, b.offset }, { plain.memory.buffers[i].name, plain.memory.buffers[i].offset + 64 })
      end
      for i, L in ipairs(guarded.fused) do
        equal(L.scratch_at, plain.fused[i].scratch_at + 64)
        for name, at in pairs(L.at) do equal(at, plain.fused[i].at[name] + 64) end
      end
      layout.bytes = layout.bytes + 100 -- a front end's
      memory.guard_end(layout)
      equal(layout.canaries[3] % 64, 0)
      assert(layout.canaries[3] >= layout.canaries[2] + 64 + 100)
      equal(layout.bytes, layout.canaries[3] + 64)
    end
  end)

  it("is the same each time", function()
    local function offsets()
      local list = {}
      for i, b in ipairs(memory(random_graph(5)).memory.buffers) do list[i] = b.name .. "@" .. b.offset end
      return list
    end
    equal(offsets(), offsets())
  end)

  local sys = spec.host "msagen.sys"
  if not sys then return end
  local tiny, compiler = require "tiny_model", require "compiler.compiler"
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-memory-")
  sys.cleanup(work)

  for _, name in ipairs { "plain", "adapted", "late", "wide" } do
    it("of a model: " .. name, function()
      local build = compiler.schedule(tiny.device(work, name), "test")
      check(build.graph, build.model)
    end)
  end

  it("of the demo is within 5 % of the bound, on every board", function()
    for _, board in ipairs(require "target.boards".all()) do
      local build = compiler.schedule({ checkpoint = msagen.datadir .. "/demo/fetal-head/checkpoint.safetensors",
        dialect = "msa-paper", board = board.name }, "test")
      check(build.graph, build.model)
      local layout = build.graph.memory
      assert(layout.bytes <= 1.05 * layout.bound,
        ("%s: %d bytes, bound %d"):format(board.name, layout.bytes, layout.bound))
    end
  end)
end)
