-- SPDX-License-Identifier: Apache-2.0
-- The decoder's condition against a derivative of which every element is a difference of two decodes, and how far a
-- build's error goes beside the margins of a mask. Which boards' digests a bundle says are the same.
local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local condition = require "evidence.condition"
local interpretation = require "run.interpretation"
local sys = spec.host "msagen.sys"
local tensor = require "msagen.tensor"
local tier = require "tier"
local tiny = require "tiny_model"

-- An interpretation in float64 of a tiny model that has encoded an image of noise.
local function encoded(name, work)
  local model = require("compiler.compiler").models(tiny.device(work, name), "test")[1]
  local one, bytes, state = interpretation.of(model, "float64"), {}, 1
  for i = 1, 3 * 20 * 30 do
    state = state * 48271 % 2147483647
    bytes[i] = string.char(state >> 8 & 255)
  end
  one:encode(tensor.frombytes(table.concat(bytes), "u8", { 1, 20, 30, 3 }))
  return one
end

-- Columns of the derivative of the logits by the embedding's first slice.
local function derivative(one, prompt)
  local whole, columns, step = one.embedding, {}, 1e-5
  local x = whole:slice(1, 0, one.model.grid ^ 2 // 1 | 0):totable()
  local function logits(at, value)
    local list = whole:totable()
    list[at] = value
    one.embedding = tensor.from(list, whole.shape)
    local y = one:decode(0, prompt):totable()
    one.embedding = whole
    return y
  end
  for k = 1, #x do
    local above, below, column = logits(k, x[k] + step), logits(k, x[k] - step), {}
    for i = 1, #above do column[i] = (above[i] - below[i]) / (2 * step) end
    columns[k] = column
  end
  return columns, x
end

local function norm(list)
  local sum = 0
  for i = 1, #list do sum = sum + list[i] ^ 2 end
  return sum ^ 0.5
end

-- The largest singular value of a matrix of columns.
local function largest(columns)
  local v, sigma = {}, 0
  for k = 1, #columns do v[k] = k % 3 + 1 end
  for _ = 1, 100 do
    local y, size = {}, norm(v)
    for i = 1, #columns[1] do
      y[i] = 0
      for k = 1, #columns do y[i] = y[i] + columns[k][i] * v[k] / size end
    end
    sigma = norm(y)
    for k = 1, #columns do
      v[k] = 0
      for i = 1, #y do v[k] = v[k] + columns[k][i] * y[i] end
    end
  end
  return sigma
end

describe("the condition of the decoder", function()
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-condition-")
  -- Of places the derivative has 720 columns.
  for name, prompt in pairs { plain = { points = { { 11, 7, 1 } } },
    places = tier.full and { points = { { 3, 9, 1 }, { 20, 4, 0 } }, multimask = true } or nil } do
    it("is that of its derivative, element by element: " .. name, function()
      interpretation.in_class("float64", function()
        local one = encoded(name, work)
        local columns, x = derivative(one, prompt)
        local sigma, y = largest(columns), one:decode(0, prompt):totable()
        local found = condition.of(one, one.embedding:slice(1, 0, one.embedding.shape[1]), prompt)
        assert(sigma > 0 and math.abs(found.sigma / sigma - 1) < 1e-3, ("%g, not %g"):format(found.sigma, sigma))
        assert(math.abs(found.logits_norm / norm(y) - 1) < 1e-12, "logits are the decoder's")
        assert(math.abs(found.condition / (sigma * norm(x) / norm(y)) - 1) < 1e-3)
        assert(condition.holds(found) and found.iterations < 60)
        found.gradient = 1.01 * found.gradient
        assert(not condition.holds(found), "a gradient that is wrong by a hundredth")
      end)
    end)
  end

  it("stands beside the errors of embedding and logits, and pixels near the outline", function()
    interpretation.in_class("float64", function()
      local one, prompt = encoded("plain", work), { points = { { 11, 7, 1 } } }
      local truth = { embedding = one.embedding, logits = one:decode(0, prompt) }
      local list = truth.logits:totable()
      local least, at = math.huge, 0
      for i, value in ipairs(list) do
        if math.abs(value) < least then least, at = math.abs(value), i end
      end
      list[at] = -list[at]
      local found = { embedding = truth.embedding:scale(1.25), logits = tensor.from(list, truth.logits.shape) }
      local row = condition.rows { { name = "noise", it = one, prompt = prompt, truth = truth, found = found } }[1]
      assert(math.abs(row.embedding_error - 0.25) < 1e-12 and math.abs(row.bound - 0.25 * row.condition) < 1e-9)
      assert(math.abs(row.largest_error - 2 * least) < 1e-12)
      equal({ row.margin.least, row.margin.at, row.margin.other, row.pixels }, { least, at - 1, 1, #list })
      local within = 0
      for _, value in ipairs(truth.logits:totable()) do within = within + (math.abs(value) <= 2 * least and 1 or 0) end
      equal(row.margin.within, within)
      assert(condition.said { row }:find("(noise)", 1, true))
    end)
  end)
  sys.remove_tree(work)
end)

describe("digests of boards", function()
  local others = require "evidence.boards"
  local function row(board, way, same) return { board = board, arithmetic = "f32-fma-1", compiler = "cc 1", way = way,
    image = "i", digest = "a", interpreter = same and "a" or "b", same = same } end
  local absent = { board = "far", why = "there is no far-gcc" }

  it("are one, or another is said with its board; what was not run is told", function()
    local status, said = others.verdict { row("one", "natively", true), row("two", "under qemu 7", true), absent }
    equal({ status, said }, { "pass", "2 boards, 1 of them under an emulator; one digest an image in each of f32-fma-1"
      .. "; not run: far (there is no far-gcc)" })
    equal({ others.verdict { row("one", "natively", true), row("two", "natively", false) } }, { "fail",
      "two (another digest of i)" })
    equal({ others.verdict { row("one", "natively", true), { board = "two", failed = "exit 1" } } }, { "fail",
      "two (exit 1)" })
    equal({ others.verdict { absent } }, { "not measured", "not run: far (there is no far-gcc)" })
    equal(others.csv { row("one", "natively", true), absent }, "board,arithmetic,compiler,run,image,digest,interpreter,"
      .. "same\none,f32-fma-1,cc 1,natively,i,a,a,yes\nfar,,,not run: there is no far-gcc,,,,\n")
  end)

  it("are of boards that there are", function()
    equal(#others.named "all", #require("target.boards").names())
    equal({ others.named "cortex-m7,generic-c99"[1].name, others.named "cortex-m7,generic-c99"[2].name },
      { "cortex-m7", "generic-c99" })
    for asked, wanted in pairs { ["cortex-m77"] = "expected one of", [","] = "expected all, or names" } do
      local ok, problem = pcall(others.named, asked)
      assert(not ok and problem.msagen:find(wanted, 1, true), tostring(problem.msagen))
    end
  end)
end)
