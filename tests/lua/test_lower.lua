-- SPDX-License-Identifier: Apache-2.0
-- Lowering: places as terms, steps as C, cores and their barriers, memory between layers; and of whole models that
-- every weight is read, and that calls times trips are the graph's multiply-adds.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local index = require "lower.index"

describe("a place", function()
  local t, i = index.variable "t", index.variable "i"
  it("folds what says nothing", function()
    equal({ index.text(t * 1 + 0), index.text((t + 3) * 4), index.text(2 + t + 3), index.text(t * 2 * 3) },
      { "t", "t * 4 + 12", "t + 5", "t * 6" })
    equal({ index.text(t // 4 // 3), index.text(t % 12 % 4), index.text(t // 1), index.text(t % 1), t - t },
      { "t / 12", "t % 4", "t", "0", 0 })
  end)
  it("has the parentheses that it needs, and no others", function()
    equal({ index.text((t + i) * 4), index.text(t * (i * t)), index.text(5 - (t + i)), index.text(t + (i - 2)) },
      { "(t + i) * 4", "t * (i * t)", "5 - (t + i)", "t + i - 2" })
    equal({ index.text(t + i * -2), index.text(t * -3 + i + 4), index.text((t + 8 + i * -2) * 48) },
      { "t - i * 2", "i - t * 3 + 4", "(t + 8 - i * 2) * 48" }, "a size_t is not negative")
    equal({ index.text((t // 4 + i) % 3 * 2), index.text(t // (i % 3)) }, { "(t / 4 + i) % 3 * 2", "t / (i % 3)" })
  end)
  it("is a number where its variables are", function()
    equal(index.bind((t // 4 * 10 + t % 4) * 2, { t = 7 }), 26)
    equal(index.text(index.bind(t * i + 1, { i = 3 })), "t * 3 + 1")
    equal({ index.has(t * i, "i"), index.has(t * 2, "i") }, { true, false })
  end)
  it("has a range where its variables have one", function()
    local ranges = { t = { 2, 9 }, i = { 0, 3 } }
    local function of(term) return { index.range(term, ranges) } end
    equal({ of(t * 4 + i), of(t - i), of(t // 4), of(t % 4), of((t - 4) // 4 * 4), of(i % 8 + 1), of(7) },
      { { 8, 39 }, { -1, 9 }, { 0, 2 }, { 0, 3 }, {}, { 1, 4 }, { 7, 7 } })
    equal({ of(index.variable "count" + 1), of(t * (i - 1)) }, { {}, {} })
    for value = 2, 9 do
      for other = 0, 3 do
        for _, term in ipairs { t * 4 + i, t - i, t // 4, t % 4, (t + i) // 3 * 3, (t * 5 + i) % 7 } do
          local low, high = index.range(term, ranges)
          local found = index.bind(term, { t = value, i = other })
          equal(low <= found and found <= high, true)
        end
      end
    end
  end)
end)

local SIGNATURES = {
  copy_rows = { { const = true }, { const = false } },
  weigh = { { const = true }, { const = true }, { const = false } },
}
local KERNELS = { signature = function(_, name) return SIGNATURES[name] end,
  call = function(_, name, ...) return ("%s(%s)"):format(name, table.concat({ ... }, ", ")) end }

-- Places in bytes, as the plan of memory gives them.
local function printed(step, count, at)
  local loops = require("schedule.split").loops(count)
  for stage in step:each_stage() do require("schedule.cores").split(stage, count) end
  require("schedule.cores").barriers(KERNELS, step)
  return (require("emit.print").new(KERNELS, loops):step(step, { at = at, shared = 4000, own = "arena + 2000" }))
end

describe("a step", function()
  local steps, segment = require "lower.steps", require "lower.segment"
  local function buffer(name, type_)
    return steps.buffer { name = name, type = type_ or "f32", bytes = 2560, stride = 16 }
  end
  local function empty()
    local seg = segment.new()
    seg:vector("scale", 16)
    seg:vector("shift", 16)
    return steps.new("layer", seg), buffer "x", buffer "y"
  end

  it("is a function of its loops and calls, with names for the places of weights", function()
    local step, x, y = empty()
    local s = step:pool():take("s", 64, 16)
    step:stage("units", function(body)
      body:each({ variable = "t", to = 40, by = 4, units = { name = "rows" } }, function(inner, t)
        inner:call("weigh", x:row(t), step:part "shift", s)
        inner:call("copy_rows", s, y:row(t))
      end)
    end)
    equal(printed(step, 1, { x = 0, y = 2560 }), table.concat({ "void msa_layer(float *arena, const float *w)", "{",
      "    enum { AT_SHIFT = 16 };", "    const float *const x = arena;", "    float *const y = arena + 640;",
      "    float *const scratch = arena + 2000;", "    float *const s = scratch;",
      "    for (size_t t = 0; t < 40; t += 4) {", "        weigh(x + t * 16, w + AT_SHIFT, s);",
      "        copy_rows(s, y + t * 16);", "    }", "}", "" }, "\n"))
  end)

  it("counts places in elements of their type, and the arena and scratch in floats", function()
    local step, x = empty()
    local bytes, z = step:pool():take("bytes", 70, 16, "u8"), buffer("z", "u8")
    local last = step.pools[1]:take("last", 16)
    step:stage("units", function(body)
      body:zero(bytes, 70)
      body:copy(bytes:row(2), z:row(3), 6)
      local either = body:choose("either", "count == 1", z, bytes + 5)
      body:call("weigh", x, either, last)
    end)
    equal(last.storage.offset, 128)
    equal(printed(step, 1, { x = 0, z = 640 }), table.concat({ "void msa_layer(float *arena, const float *w)", "{",
      "    (void)w;", "    const uint8_t *const z = (const uint8_t *)(arena + 160);",
      "    const float *const x = arena;", "    float *const scratch = arena + 2000;",
      "    uint8_t *const bytes = (uint8_t *)scratch;", "    float *const last = scratch + 32;",
      "    memset(bytes, 0, 70 * sizeof(uint8_t));", "    memcpy(bytes + 32, z + 48, 6 * sizeof(uint8_t));",
      "    const uint8_t *const either = count == 1 ? z : bytes + 5;", "    weigh(x, either, last);", "}", "" }, "\n"))
  end)

  it("does not ask what holds always or never", function()
    local step, x, y = empty()
    step:stage("units", function(body)
      body:each({ variable = "t", to = 40, by = 4, units = { name = "rows" } }, function(inner, t)
        local two = inner:let("two", t * 2)
        local function copy(here) here:call("copy_rows", x, y:row(t)) end
        local function weigh(here) here:call("weigh", x, step:part "shift", y) end
        inner:when({ { two, ">=", 0 }, { two, "<", 73 } }, copy, weigh)
        inner:when({ { two, ">=", 74 } }, copy)
        inner:when({ { t + 1, "<=", 40 }, { two, "<", 72 } }, copy)
      end)
    end)
    local text = printed(step, 1, { x = 0, y = 2560 })
    equal({ select(2, text:gsub("copy_rows", "")), text:find "weigh", text:match "if (%b())" },
      { 2, nil, "(two < 72)" })
    equal(select(2, text:gsub("if ", "")), 1)
  end)

  it("refuses a type that is none", function()
    local step = empty()
    local ok, problem = pcall(function() step:pool():take("a", 5, nil, "f23") end)
    equal(ok, false)
    holds(problem.msagen, "f23", "f32")
  end)

  it("has scratch in cache lines, as much as its largest stage or proc takes", function()
    local step = empty()
    local pool, other = step:pool(), step:pool(true)
    pool:take("a", 5)
    equal(pool:take("b", 17).storage.offset, 64)
    equal(other:take("a", 100, 20).storage.stride, 20)
    equal({ step:own(), step.shared.bytes }, { 448, 0 })
    equal((pcall(pool.take, pool, "a", 1)), false)
  end)

  it("has no loop of one trip", function()
    local step, x, y = empty()
    step:stage("zero", function(body)
      body:each({ variable = "t", to = 4, by = 4 }, function(inner, t) inner:call("copy_rows", x:row(t), y:row(t)) end)
    end)
    holds(printed(step, 1, { x = 0, y = 2560 }), "\n    copy_rows(x, y);\n")
  end)

  local function two_stages(second, who)
    local step, x, y = empty()
    step:stage("units", function(body)
      body:each({ variable = "t", to = 40, units = { name = "rows" } }, function(inner, t)
        inner:call("copy_rows", x:row(t), y:row(t))
      end)
    end)
    step:stage(who or "units", function(body)
      body:each({ variable = "t", to = 40, units = who ~= "zero" and { name = "rows" } or nil }, function(inner, t)
        second(inner, t, x, y)
      end)
    end)
    local _, count = printed(step, 3, { x = 0, y = 2560, z = 5120 }):gsub("msa_meet", "")
    return count
  end

  it("has cores meet where one needs what others have written, and nowhere else", function()
    equal(two_stages(function(body, t, x, y) body:call("copy_rows", y:row(t), x:row(t)) end), 0, "the same rows")
    equal(two_stages(function(body, t, _, y) body:call("copy_rows", y:row(t), y:row(39 - t)) end), 1, "other rows")
    equal(two_stages(function(body, t, x, y) body:call("copy_rows", y:row(t + 1), x:row(t)) end), 1, "a neighbour's")
    equal(two_stages(function(body, t, x, y) body:call("copy_rows", y:row(t), x:row(t)) end, "zero"), 1, "one core's")
    equal(two_stages(function(body, t, x)
      body:call("copy_rows", x:row(39 - t), buffer "z":row(t))
    end), 0, "what both only read")
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end
local compiler, tiny = require "compiler.compiler", require "tiny_model"
local work_of = require "estimate.work"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-lower-")
sys.cleanup(work)

local function scheduled(name, changes)
  local device = tiny.device(work, name)
  device.board = "generic-c99"
  for key, value in pairs(changes or {}) do device[key] = value end
  return compiler.schedule(device, "test")
end

-- Roles of the parts that a step's text names.
local function named(step, found)
  local function go(body)
    for _, node in ipairs(body) do
      for _, argument in ipairs(node.arguments or {}) do
        if type(argument) == "table" and argument.storage and argument.storage.kind == "part" then
          found[argument.storage.name] = true
        end
      end
      for _, view in ipairs(node.views or { node.from ~= nil and type(node.from) == "table" and node.from.storage
        and node.from or nil }) do
        if view.storage.kind == "part" then found[view.storage.name] = true end
      end
      for _, inner in ipairs { node.body or {}, node.other or {}, node.proc and node.proc.body or {} } do go(inner) end
    end
  end
  for stage in step:each_stage() do go(stage.body) end
  return found
end

describe("the layers of a model", function()
  for _, case in ipairs { { "plain" }, { "adapted", { depth = 3 } }, { "late" }, { "wide" },
    { "adapted", { weights = "stream", stream_buffer = 60000 } } } do
    it("read every part of their weights: " .. case[1], function()
      for _, L in ipairs(scheduled(table.unpack(case)).graph.fused) do
        local found = L.lowered and named(L.lowered, {}) or {}
        for _, part in ipairs(L.uses and {} or L.segment.parts) do
          local base = part.role:match "^(.*)_%d+$"
          assert(found[part.role] or base and found[base .. "_0"], ("%s: nobody reads %s"):format(L.name, part.role))
        end
      end
    end)
  end

  it("make as many multiply-adds as the graph says, where nothing is counted or padded", function()
    local build, compared = scheduled "broad", 0
    for _, L in ipairs(build.graph.fused) do
      if L.kind == "encoder_mlp" or L.kind == "neck" or L.kind == "masks" or L.kind == "patch_embed" then
        local sum = 0
        work_of.walk(L.lowered, build.graph.click_tokens, function(node, trips)
          local f = node.node == "call" and build.kernels.described[node.name]
          if f and f.file == "gemm" then sum = sum + trips * f.fields.M * f.fields.N * f.fields.K end
        end)
        equal({ L.name, sum }, { L.name, L.macs })
        compared = compared + 1
      end
    end
    equal(compared, 5)
  end)

  it("leave results where nothing else lies, and take the place of what nobody needs any more", function()
    local build = scheduled "plain"
    local by_name = {}
    for _, L in ipairs(build.graph.fused) do
      for name in pairs(L.buffers) do by_name[name] = (by_name[name] or 0) + 1 end
    end
    local names = require("support.closed").sorted(by_name)
    local expected = { "embedding", "hyper", "iou", "keys", "logits", "queries", "tokens", "x" }
    local without_ready = {}
    for _, name in ipairs(names) do
      if not name:match "^ready_" then without_ready[#without_ready + 1] = name end
    end
    equal(without_ready, expected)
  end)
end)
