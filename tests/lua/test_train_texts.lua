-- SPDX-License-Identifier: Apache-2.0
-- Text prompts of training: files of embeddings, unit vectors, the projection's start.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys, tensor, random = spec.host "msagen.sys", spec.host "msagen.tensor", spec.host "msagen.random"
if not (sys and tensor and random) then return end
local texts, file, uses = require "train.texts", require "text.file", require "train.uses"

local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-texts-")
sys.cleanup(work)

local function written(name, phrases, tensors)
  local path = work .. "/" .. name
  file.write(path, phrases, tensors)
  return path
end

describe("a file of embeddings", function()
  local both = { "a left kidney", "spleen" }
  local embeddings = random.normals(3, { 2, 5 }, 4)
  it("gives unit vectors of phrases", function()
    local path = written("two.safetensors", both, { { "prompts", random.normals(4, { 2, 7 }, 1) }, { "embeddings",
      embeddings } })
    local found = texts.read(path)
    equal({ found.names, found.width, found.units.shape }, { both, 5, { 2, 5 } })
    for i, name in ipairs(both) do
      local values, sum = embeddings:slice(1, i - 1, 1):totable(), 0
      for _, v in ipairs(values) do sum = sum + v * v end
      local vector = found:vector(name, "--text"):totable()
      for k, v in ipairs(values) do
        equal(vector[k], (string.unpack("<f", string.pack("<f", v / math.sqrt(sum)))))
      end
    end
    refuses(function() found:vector("splen", "--text") end, "--text: expected a left kidney or spleen, found splen",
      "did you mean spleen?")
  end)
  it("may hold one matrix of any name", function()
    local found = texts.read(written("one.safetensors", both, { { "clip", embeddings } }))
    equal(found:vector("spleen", "x").shape, { 5 })
  end)
  it("is refused where it is none", function()
    local function bad(name, phrases, tensors, ...)
      local path = written(name, phrases, tensors)
      refuses(function() texts.read(path) end, name, ...)
    end
    bad("several.safetensors", both, { { "a", embeddings }, { "b", embeddings } }, "expected a tensor named embeddings",
      "found 2 tensors")
    bad("rows.safetensors", { "one" }, { { "embeddings", embeddings } }, "[1,E]", "[2,5]")
    bad("zero.safetensors", both, { { "embeddings", tensor.zeros { 2, 3 } } }, "row of a left kidney", "found zeros")
    bad("nan.safetensors", both, { { "embeddings", tensor.from({ 1, 1, 0 / 0, 1 }, { 2, 2 }) } }, "row of spleen",
      "finite")
  end)
end)

describe("the projection", function()
  it("starts so that prompts are as long as a point's features", function()
    local start = texts.projection(7, 256, 64)
    equal({ start.shape, start.dtype }, { { 256, 64 }, "f32" })
    equal(start:equal(random.normals(uses.key({ seed = 7, step = 0, image = 0 }, "projection"), { 256, 64 },
      math.sqrt(0.5))), true)
    local unit = random.normals(8, { 64, 1 }, 1):totable()
    local length = 0
    for _, v in ipairs(unit) do length = length + v * v end
    for i, v in ipairs(unit) do unit[i] = v / math.sqrt(length) end
    local sum = 0
    for _, v in ipairs(start:matmul(tensor.from(unit, { 64, 1 })):totable()) do sum = sum + v * v end
    assert(math.abs(math.sqrt(sum) - math.sqrt(128)) < 1.5, math.sqrt(sum)) -- 11.3
    equal(start:equal(texts.projection(8, 256, 64)), false)
  end)
end)
