-- SPDX-License-Identifier: Apache-2.0
-- Gradients of whole networks in double precision: those of all tensors that are values of the graph, along a direction
-- in which all of them move, are what finite differences give; so are those of the embedding and of the tokens.

local spec, tier = require "spec", require "tier"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys, tensor = spec.host "msagen.sys", spec.host "msagen.tensor"
if not (sys and tensor) then return end
local compiler, interpretation, tiny = require "compiler.compiler", require "run.interpretation", require "tiny_model"
local differentiate, expand, interpreter = require "graph.differentiate", require "graph.passes.expand",
  require "graph.interpreter"
local deferred = require "import.deferred"
local json, kinds, reference = require "msagen.json", require "graph.kinds", require "msagen.reference"
local tokens = require "networks.tokens"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-gradients-")
sys.cleanup(work)

local TRUTH = reference.of "float64"
local COUNT = 8 -- tokens of the prompt

local function golden_device(name)
  local case = json.decode(sys.read_file(golden .. name .. "/case.json"), name)
  local device = { checkpoint = golden .. name .. "/checkpoint.pth", dialect = case.dialect,
    resolution = case.run_size or case.image_size, board = "generic-c99" }
  if (case.multimask or 1) > 1 then device.classes = case.multimask end
  if (case.slices or 1) > 1 then device.depth = case.slices end
  if case.thd and case.chunk then device.chunk = case.chunk == json.null and "none" or case.chunk end
  return device
end

local function tiny_device(name, depth)
  local device = tiny.device(work, name)
  device.board, device.depth = "generic-c99", depth
  return device
end

local function pattern(R, value, rows)
  local width = value.shape[#value.shape]
  local all = kinds.product(value.shape) // width
  local some = R.pattern(1 + value.id * 4099, rows or all, width)
  return rows and R.stacked { some, kinds.zeros(all - rows, width) } or some
end

-- The graph with gradients of everything, as outputs d_NAME; values that move. @param rows of tokens at most, or nil
local function network(device, rows)
  local m = tiny.quietly(compiler.models, device, "test")[1]
  local most = tokens.rows
  if rows then tokens.rows = function() return rows end end
  local g = interpretation.graph(m)
  tokens.rows = most
  local wanted = { g.inputs.embedding, g.inputs.tokens }
  local function live() return true end
  expand(g, { live = live, wanted = wanted })
  local moving = {}
  local seeds = { [g.outputs.embedding] = "dembedding", [g.outputs.logits] = "dlogits",
    [g.outputs.scores] = "dscores" }
  for value, dx in pairs(differentiate(g, { live = live, wanted = wanted, seeds = seeds })) do
    equal(dx.shape, value.shape, value.name)
    assert(not g.outputs["d_" .. value.name], value.name)
    g:output("d_" .. value.name, dx)
    moving[#moving + 1] = value
  end
  table.sort(moving, function(a, b) return a.id < b.id end)
  return g, moving
end

-- Where a value may go: random numbers, small where its own are; +0 in rows of tokens that are not there.
local function direction_of(value, at)
  local rows = value.counted and COUNT or nil
  local most = 0
  for _, v in ipairs(at:totable()) do most = math.max(most, math.abs(v)) end
  return pattern(TRUTH, { id = value.id + 1000, shape = value.shape }, rows):scale(math.max(most, 0.05))
end

local function dot(a, b)
  local x, y, sum = a:totable(), b:totable(), 0
  assert(#x == #y)
  for i = 1, #x do sum = sum + x[i] * y[i] end
  return sum
end

-- With everything moved by so much along its direction: the sum of results times what is given as their gradients.
local function moved(g, given, moving, by)
  local at = {}
  for name, matrix in pairs(given) do at[name] = matrix end
  for _, one in ipairs(moving) do
    local there = one.at:add(one.direction, by)
    if one.value.kind == "input" then at[one.value.name] = there
    else one.value.tensor = there:reshape(one.value.shape) end
  end
  local out = interpreter.run(TRUTH, g, at, { "embedding", "logits", "scores" }, nil, { count = COUNT })
  for _, one in ipairs(moving) do one.value.tensor = one.tensor end
  return dot(out.embedding, given.dembedding) + dot(out.logits, given.dlogits) + dot(out.scores, given.dscores)
end

-- So small that hardly a ReLU comes to its corner.
local STEP, ALLOWED = 2e-7, 1e-7
local function check(device, with_mask)
  local g, values = network(device)
  local given, moving = {}, {}
  for name, value in pairs(g.inputs) do given[name] = pattern(TRUTH, value, value.counted and COUNT or nil) end
  if not with_mask then given.mask_prompt = nil end
  local names, sum, size = {}, 0, 0
  for i, value in ipairs(values) do names[i] = "d_" .. value.name end
  local found = interpreter.run(TRUTH, g, given, names, nil, { count = COUNT })
  for i, value in ipairs(values) do
    local at = value.kind == "input" and given[value.name] or TRUTH.packed(deferred.value(value.tensor))
    local direction = direction_of(value, at)
    moving[i] = { value = value, at = at, direction = direction, tensor = value.tensor }
    local one = dot(found[names[i]], direction)
    sum, size = sum + one, size + math.abs(one)
  end
  local function at(by) return moved(g, given, moving, by * STEP) end
  local expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)
  assert(#moving > 50 and size > 0, "gradients of most tensors")
  assert(math.abs(sum - expected) <= ALLOWED * size,
    ("differences give %.12g, gradients %.12g, in sums of %.3g"):format(expected, sum, size))
end

local CASES = { { "adapters, windows cut, with a mask", function() return tiny_device "adapted" end, true },
  { "adapters, without a mask", function() return tiny_device "adapted" end },
  { "a volume", function() return tiny_device("adapted", 3) end },
  { "windows that are the grid", function() return tiny_device "late" end },
  { "a norm of the map", function() return tiny_device "places" end } }
local function add_golden(list)
  for _, name in ipairs(list) do CASES[#CASES + 1] = { name, function() return golden_device(name) end } end
end
add_golden { "msa-2025-2d", "msa-2025-3d", "msa-efficient-2025-2d", "sam-med2d-2d", "msa-mobile-2025-2d" }
if tier.full then
  add_golden { "sam-2d", "msa-2023-2d", "msa-2023-3d", "msa-2025-2d-lora", "msa-2025-3d-no-chunk", "msa-paper-2d",
    "msa-paper-3d", "efficient-sam-2d", "mobile-sam-2d", "msa-mobile-2025-2d-vit" }
end

describe("gradients of networks in double precision are those of differences:", function()
  for _, case in ipairs(CASES) do
    it(case[1], function() tensor.in_double(check, case[2](), case[3]) end)
  end
end)

describe("gradients of a network in float32", function()
  -- All gradients, where tokens have so many rows; those of the tokens: of the rows that are there.
  local function digests(class, rows)
    local R, list, names = reference.of(class), {}, {}
    local g, values = network(tiny_device "adapted", rows)
    local given = {}
    for i, value in ipairs(values) do names[i] = "d_" .. value.name end
    for _, name in ipairs { "image", "embedding", "tokens", "dembedding", "dlogits", "dscores" } do
      local value = g.inputs[name]
      given[name] = pattern(R, { id = #name, shape = value.shape }, value.counted and COUNT or nil)
    end
    local out = interpreter.run(R, g, given, names, nil, { count = COUNT })
    for i, name in ipairs(names) do
      local dx = out[name]
      if name == "d_tokens" then
        assert(rows == COUNT or dx:slice(1, COUNT, rows - COUNT):is_zero(), "rows that are not there")
        dx = dx:slice(1, 0, COUNT)
      end
      list[i] = ("%s %08x"):format(name, R.crc32c(0, R.packed(dx)))
    end
    return list
  end
  for _, class in ipairs { "f32-fma-1", "f32-muladd-1" } do
    it("do not depend on how many rows tokens may have: " .. class, function()
      local few, many = digests(class, COUNT), digests(class, 72)
      assert(#few > 50)
      equal(few, many)
    end)
  end
end)
