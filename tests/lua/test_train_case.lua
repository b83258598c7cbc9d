-- SPDX-License-Identifier: Apache-2.0
-- Cases of training: what a folder may say, and what is refused of it.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys = spec.host "msagen.sys"
if not sys then return end
local case, json, npy, tensor = require "train.case", require "msagen.json", require "msagen.npy",
  require "msagen.tensor"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden-train/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-case-")
sys.cleanup(work)

local NAME = "msa-2023-3d"
local count = 0

-- A copy of a case, its case.json changed. @param change function(case.json as a table) @param files contents of files
-- that it is to have instead, by name; false for none
local function copied(change, files)
  count = count + 1
  local folder = ("%s/%d"):format(work, count)
  sys.mkdir_p(folder)
  for _, name in ipairs { "checkpoint.pth", "image.npy", "target.npy" } do
    local text = files and files[name]
    if text == nil then text = sys.read_file(golden .. NAME .. "/" .. name) end
    if text then sys.write_file(folder .. "/" .. name, text) end
  end
  local one = json.decode(sys.read_file(golden .. NAME .. "/case.json"), "case.json")
  if change then change(one) end
  sys.write_file(folder .. "/case.json", json.encode(one))
  return folder
end

local function trained(folder, options)
  options = options or {}
  options.out, options.steps = folder .. "/out", options.steps or 0
  return case.trained(folder, { interpret = "f32-fma-1" }, options)
end

local function refused(change, ...)
  local folder, pieces = copied(change), { ... }
  refuses(function() trained(folder) end, table.unpack(pieces))
end

describe("a case of training", function()
  it("gives what is there of loss, gradient and changes", function()
    local folder = copied()
    local done = {}
    local digest = trained(folder, { steps = 2, progress = function(step, of) done[#done + 1] = { step, of } end })
    equal(done, { { 0, 2 }, { 1, 2 }, { 2, 2 } })
    assert(digest:match "^%x+$" and #digest == 64)
    local out = folder .. "/out/"
    equal(npy.read(out .. "loss.npy").shape, { 3 })
    for _, name in ipairs { "grad", "delta_1", "delta_2" } do
      equal(npy.read(out .. name .. ".npy").shape, npy.read(golden .. NAME .. "/grad.npy").shape)
    end
    equal(sys.exists(out .. "delta_10.npy"), false)
  end)

  it("begins each step with the same batch: losses fall", function()
    local folder = copied()
    trained(folder, { steps = 2 })
    local losses = npy.read(folder .. "/out/loss.npy"):totable()
    assert(losses[1] > losses[2] and losses[2] > losses[3])
  end)

  it("is refused where case.json is none", function()
    local folder = copied()
    for text, piece in pairs { ["{"] = "not JSON", ["7"] = "expected an object", ["[]"] = "expected",
      ['{"batch": 2, "case": "validation step"}'] = "case: expected training step" } do
      sys.write_file(folder .. "/case.json", text)
      refuses(function() trained(folder) end, folder .. "/case.json", piece)
    end
    refuses(function() trained(work .. "/nowhere") end, work .. "/nowhere/case.json")
  end)

  it("is refused where a field is not what it should be", function()
    local function set(key, value) return function(one) one[key] = value end end
    refused(set("dialect", "msa-2022"), "dialect", "found msa-2022")
    refused(set("loss", "focal"), "loss: expected bce, dicece or sam", "found focal")
    refused(set("loss", nil), "loss: expected bce, dicece or sam, found none")
    refused(set("image_size", "large"), "image_size: expected a whole number")
    refused(set("batch", 5), "image.npy: expected 4 dimensions, 5 first")
    refused(function(one) one.slices, one.chunk = 4, 4 end, "batch: expected volumes of 4 slices, found 6")
    refused(function(one) one.optimiser.name = "SGD" end, "optimiser: name: expected Adam or AdamW", "found SGD")
    refused(function(one) one.optimiser.lr = "fast" end, "lr: expected a number")
    refused(function(one) one.optimiser.betas = { 0.9 } end, "betas")
    refused(function(one) one.tensors[3].name = "image_encoder.blocks.0.Adapter" end, "tensors: expected tensors of",
      "image_encoder.blocks.0.Adapter")
    refused(set("trainable_with_zero_gradient", { "nothing" }), "trainable_with_zero_gradient", "found nothing")
    refused(set("prompts", json.array {}), "prompts: expected one or more, found none")
    refused(function(one) one.prompts[1].points = 7 end, "prompt 0: expected points")
    refused(function(one) one.prompts[1].points[2] = 7 end, "prompt 0: expected points", "picture 1")
    refused(function(one) one.prompts[1].labels[1] = { 1, 0 } end, "prompt 0: expected points", "picture 0")
    refused(function(one) one.prompts[1].points[1][1] = { 3 } end, "prompt 0: expected points")
    refused(function(one) one.prompts[1].labels[1][1] = "one" end, "prompt 0: expected points")
  end)

  it("is refused where a file is not what it should be", function()
    local function of(name, text, ...)
      local folder, pieces = copied(nil, { [name] = text }), { ... }
      refuses(function() trained(folder) end, table.unpack(pieces))
    end
    of("image.npy", "no array", "image.npy")
    of("image.npy", false, "image.npy")
    of("target.npy", false, "target.npy")
    of("checkpoint.pth", "weights", "checkpoint.pth")
    local path = work .. "/odd.npy"
    npy.write(path, tensor.zeros { 6, 40, 40, 3 })
    of("image.npy", sys.read_file(path), "image.npy: expected u8 [6,40,40,3], found f32")
    npy.write(path, tensor.frombytes(("\0"):rep(6 * 30 * 30 * 3), "u8", { 6, 30, 30, 3 }))
    of("image.npy", sys.read_file(path), "image.npy: expected u8 [6,40,40,3], found u8 [6,30,30,3]")
    npy.write(path, tensor.frombytes(("\2"):rep(6 * 20 * 20), "u8", { 6, 1, 20, 20 }))
    of("target.npy", sys.read_file(path), "target")
    npy.write(path, tensor.frombytes(("\0"):rep(6 * 20 * 10), "u8", { 6, 1, 20, 10 }))
    of("target.npy", sys.read_file(path), "target")
  end)

  it("has readings by name", function()
    local folder = copied()
    refuses(function() trained(folder, { variant = "dice_bces" }) end, "--variant: expected broadcast, dice_bce or "
      .. "shared_clicks",
      "did you mean dice_bce?")
    trained(folder, { variant = "dice_bce" })
    local plain = npy.read(folder .. "/out/loss.npy"):totable()
    equal(#plain, 1)
    equal(sys.exists(folder .. "/out/delta_1.npy"), false)
  end)
end)
