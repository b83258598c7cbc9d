-- SPDX-License-Identifier: Apache-2.0
-- Synthetic checkpoints have the names, the shapes and the order of real ones.

local spec = require "spec"
local synth = require "networks.synth"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

local function count(list)
  local n = 0
  for _, t in ipairs(list) do
    local size = 1
    for _, d in ipairs(t.shape) do size = size * d end
    n = n + size
  end
  return n
end

describe("synth", function()
  -- segment-anything's published checkpoints: 93.7, 312.3 and 641.1 million parameters (Kirillov et al. 2023, table and
  -- model zoo).
  it("has the published models' sizes", function()
    for name, millions in pairs { vit_b = "93.7", vit_l = "312.3", vit_h = "641.1" } do
      local shape = { resolution = 1024 }
      for key, value in pairs(synth.architectures[name]) do shape[key] = value end
      equal(("%.1f"):format(count(synth.tensors(shape, "sam")) / 1e6), millions, name)
    end
  end)

  it("refuses a resolution that is no multiple of the patch", function()
    refuses(function()
      synth.write { arch = "vit_b", resolution = 1000, dialect = "sam", seed = 1, out = "/dev/null" }
    end,
      "--resolution 1000: a multiple of the patch, 16")
  end)
end)

local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local json, sys = require "msagen.json", require "msagen.sys"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden"

describe("synth, beside what the public programs saved", function()
  for _, name in ipairs { "sam-2d", "sam-2d-exact-windows", "msa-2023-2d", "msa-2024-2d", "msa-2025-2d-two-class",
    "msa-paper-2d" } do
    it(name, function()
      local case = json.decode(sys.read_file(("%s/%s/case.json"):format(golden, name)), "case.json")
      local shape = {
        resolution = case.image_size, patch = case.patch, dim = case.dim, blocks = case.depth, heads = case.heads,
          window = case.window,
        global = case.global, out = case.out, decoder_mlp = case.dec_mlp,
      }
      local file = checkpoint.open(("%s/%s/checkpoint.pth"):format(golden, name))
      local expected, found = {}, {}
      for i, key in ipairs(file:names()) do expected[i] = { key, file:tensor(key).shape } end
      for i, t in ipairs(synth.tensors(shape, case.dialect)) do found[i] = { t.name, t.shape } end
      equal(#found, #expected)
      for i = 1, #expected do equal(found[i], expected[i]) end
    end)
  end
end)

describe("a synthetic file", function()
  it("is read back with the values that belong to it", function()
    local make = require "msagen.synth"
    local folder = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-test-")
    sys.cleanup(folder)
    local list = { { name = "x.weight", shape = { 5, 7 } }, { name = "x.bias", shape = { 5 } } }
    local steps = {}
    make.write(folder .. "/a.safetensors", list, 3, function(done, all) steps[#steps + 1] = done .. "/" .. all end)
    equal(steps, { "1/2", "2/2" })
    local file = checkpoint.open(folder .. "/a.safetensors")
    for _, t in ipairs(list) do
      equal(file:tensor(t.name):equal(make.tensor(t.name, t.shape, 3)), true, t.name)
      equal(file:tensor(t.name):equal(make.tensor(t.name, t.shape, 4)), false, t.name)
    end
    sys.remove_tree(folder)
  end)
end)
