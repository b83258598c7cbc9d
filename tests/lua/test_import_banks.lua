-- SPDX-License-Identifier: Apache-2.0
-- Banks: what several files share, and which can be banks of one build.

local spec = require "spec"
local fake = require "fake_checkpoint"
local banks = require "import.banks"
local import = require "import.import"
local inspect = require "report.inspect"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds

-- A model whose trained tensors (adapters and decoder, or what `differs` accepts) hold `values`.
local function model(dialect, path, values, changes, options, differs)
  local list = fake.model(dialect, changes)
  for _, one in ipairs(list) do
    if differs and one[1]:find(differs) or not differs and (one[1]:find "_Adapter" or one[1]:find "^mask_decoder") then
      one.values = values
    end
  end
  return (import.account(fake.open(list, path), options))
end

local function bytes_of(list, accept)
  local bytes, tensors = 0, 0
  for _, one in ipairs(list) do
    if accept(one[1]) and not one[1]:find "Depth_Adapter" then
      local n = 4
      for _, size in ipairs(one[2]) do n = n * size end
      bytes, tensors = bytes + n, tensors + 1
    end
  end
  return bytes, tensors
end

local function frozen(name) return not name:find "_Adapter" and not name:find "^mask_decoder" end
local function any() return true end

describe("what files share", function()
  it("is the backbone, where only adapters and decoder were trained", function()
    local list = fake.model "msa-paper"
    local report = banks.compare { model("msa-paper", "a.pth", "A"), model("msa-paper", "b.pth", "B"),
      model("msa-paper", "c.pth", "C") }
    local shared, tensors = bytes_of(list, frozen)
    local all, count = bytes_of(list, any)
    equal({ report.shared_bytes, report.shared_tensors }, { shared, tensors })
    equal({ report.separate_bytes, report.saved_bytes, report.together_bytes },
      { 3 * all, 2 * shared, 3 * all - 2 * shared })
    equal(report.obstacle, nil)
    for i, path in ipairs { "a.pth", "b.pth", "c.pth" } do
      equal(report.files[i], { path = path, tensors = count, bytes = all, private_tensors = count - tensors,
        private_bytes = all - shared })
    end
    equal(#report.tensors, count)
    for _, one in ipairs(report.tensors) do equal(one.shared, frozen(one.name), one.name) end
  end)

  it("is what is equal in all of them, under SAM's names, whatever the prefix", function()
    local renamed = import.account(fake.open(fake.prefixed(fake.model "msa-2023", "module."), "b.pth"))
    local report = banks.compare { model("msa-2023", "a.pth"), renamed }
    equal(report.shared_bytes * 2, report.separate_bytes)
    equal(report.together_bytes, report.shared_bytes)
    local one = banks.compare { model("msa-2023", "a.pth"), model("msa-2023", "b.pth"),
      model("msa-2023", "c.pth", "C", nil, nil, "neck") }
    for _, tensor in ipairs(one.tensors) do equal(tensor.shared, not tensor.name:find "neck", tensor.name) end
  end)

  it("is no weight whose LoRA pair differs", function()
    local shape = { encoder_adapters = false, lora = 2, grid = 64 }
    local report = banks.compare { model("msa-2024", "a.pth", "A", shape, nil, "lin1.lora_B"),
      model("msa-2024", "b.pth", "B", shape, nil, "lin1.lora_B") }
    for _, tensor in ipairs(report.tensors) do
      assert(not tensor.name:find "lora", tensor.name)
      equal(tensor.shared, not tensor.name:find "^image_encoder.*lin1.weight$", tensor.name)
    end
  end)

  it("counts what is resampled at the size of the build", function()
    local report = banks.compare { model("msa-2024", "a.pth"), model("msa-2024", "b.pth") }
    equal(report.tensors[3], { name = "image_encoder.pos_embed", shape = { 1, 14, 14, 24 }, bytes = 14 * 14 * 24 * 4,
      shared = true })
  end)

  it("is shown even where it makes no banks, with the reason", function()
    local report = banks.compare { model("msa-paper", "a.pth"), model("msa-2023", "b.pth") }
    holds(report.obstacle, "b.pth: adapters is encoder; expected paper, as in a.pth")
    equal({ report.saved_bytes, report.together_bytes }, {})
    assert(report.shared_bytes > 0)
    holds(banks.compare { model("msa-paper", "a.pth"), model("msa-paper", "b.pth", nil, { grid = 16 }) }.obstacle,
      "b.pth: resolution is 256; expected 224")
  end)
end)

describe("a bank", function()
  local names = { "head", "neck" }
  local function check(a, b) banks.check({ a, b }, names) end

  it("is taken where only numbers differ", function()
    check(model("msa-2023", "a.pth", "A"), model("msa-2023", "b.pth", "B"))
    check(model("msa-2024", "a.pth", "A", nil, { dialect = "msa-2025" }),
      model("msa-2024", "b.pth", "B", nil, { dialect = "msa-2025" }))
  end)

  it("of another preparation is refused, naming what it is", function()
    local function refused(one, other, ...)
      refuses(function() check(one, other) end, "b.pth: bank neck: ", "as in bank head", ...)
    end
    refused(model("msa-2024", "a.pth", nil, nil, { dialect = "msa-2024" }),
      model("msa-2024", "b.pth", nil, nil, { dialect = "msa-2025" }),
      "normalisation is imagenet255; expected unit")
    refused(model("msa-2023", "a.pth"), model("msa-2023", "b.pth", nil, nil, { click_order = "rc" }),
      "click order is rc; expected xy")
    refused(model("msa-2023", "a.pth"), model("sam", "b.pth"), "adapters is none; expected encoder")
    refused(model("msa-2023", "a.pth"), model("msa-2023", "b.pth", nil, { window = 7 }), "window is 7; expected 5")
    refused(model("msa-2023", "a.pth"), model("msa-2023", "b.pth", nil, { global = { 3 } }),
      "global blocks is 3; expected 1,3")
    refused(model("msa-2024", "a.pth"), model("msa-2024", "b.pth", nil, { masks = 6 }),
      "number of mask tokens is 6; expected 4")
    refused(model("msa-2023", "a.pth", nil, nil, { depth = 6 }),
      model("msa-2023", "b.pth", nil, nil, { depth = 6, chunk = 3 }), "chunk is 3; expected 6")
  end)

  it("of another shape is refused, naming the tensor", function()
    refuses(function() check(model("msa-2023", "a.pth"), model("msa-2023", "b.pth", nil, { hidden = 7 })) end,
      "b.pth: bank neck: image_encoder.blocks.0.MLP_Adapter.D_fc1.weight is [7,24]; expected [6,24], as in bank head")
  end)

  it("of every shape of the fake model but one is refused", function()
    for key, value in pairs { dim = 48, heads = 4, blocks = 6, patch = 8, out = 64, decoder_mlp = 48, masks = 5,
      cross = 24, grid = 15 } do
      refuses(function()
        check(model("msa-paper", "a.pth"), model("msa-paper", "b.pth", nil, { [key] = value }))
      end, "bank neck: ", "expected")
    end
  end)
end)

describe("inspect of several files", function()
  it("is a report each and what they share", function()
    local ckpts = { fake.open(fake.model "msa-2023", "a.pth"), fake.open(fake.model "msa-2023", "b.pth") }
    local reports, shared = inspect.several(ckpts)
    equal({ reports[1].file.path, reports[2].file.path }, { "a.pth", "b.pth" })
    local text = table.concat(inspect.shared_text(shared), "\n")
    holds(text, "a.pth", "b.pth", "equal in all", "--bank NAME=FILE", "saved")
    holds(table.concat(inspect.shared_tensors_text(shared), "\n"), "image_encoder.pos_embed", "all, equal")
    ckpts[2] = fake.open(fake.model "sam", "b.pth")
    local _, other = inspect.several(ckpts)
    text = table.concat(inspect.shared_text(other), "\n")
    holds(text, "not of one build: b.pth: adapters is none; expected encoder, as in a.pth")
    holds(table.concat(inspect.shared_tensors_text(other), "\n"), "each its own")
    equal(text:find("saved", 1, true), nil)
  end)

  it("has a column of files where there is a base", function()
    local adapters = fake.only(fake.model "msa-2023", function(name)
      return name:find "_Adapter" or name:find "^mask_decoder"
    end)
    local report = inspect.report(fake.open(adapters, "a.pth"), fake.open(fake.model "sam", "base.pth"))
    holds(table.concat(inspect.text(report), "\n"), "base            base.pth")
    local text = table.concat(inspect.tensors_text(report), "\n")
    assert(text:find "^tensor +shape +dtype +file +fate")
    assert(text:find "image_encoder.neck.3.bias +%[32%] +f32 +base +used")
    assert(text:find "mask_decoder.iou_token.weight +%[1,32%] +f32 +checkpoint +used")
    assert(text:find "mask_decoder.iou_token.weight +%[1,32%] +f32 +base +dead +the checkpoint has its own")
  end)

  local json = spec.host "msagen.json"
  if json then
    it("is written for machines", function()
      local _, shared = inspect.several { fake.open(fake.model "msa-2023", "a.pth"),
        fake.open(fake.model "sam", "b.pth") }
      local found = json.decode(json.encode(inspect.shared_json(shared)), "inspect")
      equal({ found.saved_bytes, found.together_bytes, #found.files }, { json.null, json.null, 2 })
      holds(found.obstacle, "b.pth")
      equal(found.tensors[1].shape, { 24, 3, 16, 16 })
    end)
  end
end)

local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end

describe("a golden file", function()
  it("shares all with itself, and is a bank beside itself", function()
    local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
    local one = import.account(checkpoint.open(golden .. "msa-paper-2d/checkpoint.pth"))
    local other = import.account(checkpoint.open(golden .. "msa-paper-2d/checkpoint.pth"))
    local report = banks.compare { one, other }
    equal(report.shared_tensors, #report.tensors)
    equal(report.together_bytes * 2, report.separate_bytes)
    banks.check({ one, other }, { "a", "b" })
    local third = import.account(checkpoint.open(golden .. "msa-2023-2d/checkpoint.pth"))
    local different = banks.compare { one, third }
    assert(different.shared_tensors < 20, different.shared_tensors)
    assert(different.obstacle)
  end)
end)
