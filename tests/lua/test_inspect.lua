-- SPDX-License-Identifier: Apache-2.0
-- inspect: a table for people and one for machines, that never guesses.

local spec = require "spec"
local fake = require "fake_checkpoint"
local inspect = require "report.inspect"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds

local function report(dialect, changes) return (inspect.report(fake.open(fake.model(dialect, changes)))) end
local function text(dialect, changes) return table.concat(inspect.text(report(dialect, changes)), "\n") end

describe("the text", function()
  it("says what the file is", function()
    holds(text "msa-2023", "dialect         msa-2023\n", "resolution      224 (grid 14, patch 16)",
      "window 5, global blocks 1,3; out 32",
      "4 blocks, width 24, heads 3 of 8, mlp 96", "x/255", "clicks (row,column)", "\nwarning  ", "--click-order rc")
    holds(text "sam", "dialect         sam or medsam: nothing in the file tells which\n", "(x-mean)/std",
      "longest side", "(x-min)/(max-min)", "cubic B-spline")
    holds(text "msa-paper", "dialect         msa-paper\n", "encoder and decoder, as in the paper")
  end)

  it("shows the choices of an ambiguous file", function()
    holds(text "msa-2024", "msa-2024 or msa-2025: nothing in the file tells which",
      "choose          --dialect msa-2024|msa-2025",
      "x/255 | (x-mean)/std", "resampled       1: 64x64 to 14x14, bicubic")
    holds(text("msa-2024", { grid = 4, window = 7 }), "choose          --global-blocks 0,2|1,3",
      "resolution      not in the file", "which blocks are global is not")
    holds(text("msa-2024", { encoder_adapters = false, lora = 2, table_grid = 64 }), "LoRA pairs",
      "resolution      not in the file (patch 16); default 1024",
      "into attn.qkv.weight")
  end)

  it("has a line for every tensor, with its fate and why", function()
    local list = fake.model "msa-2023"
    local lines = inspect.tensors_text((inspect.report(fake.open(list))))
    local rows = {}
    for _, line in ipairs(lines) do
      local name, shape, dtype, fate, why = line:match("^(%S+%.%S+)%s+(%[[%d,]+%])%s+(%w+)%s+(%w+)%s*(.*)$")
      if name then rows[#rows + 1] = { name, shape, dtype, fate, why } end
    end
    equal(#rows, #list)
    for i, row in ipairs(rows) do
      equal({ row[1], row[2], row[3] }, { list[i][1], "[" .. table.concat(list[i][2], ",") .. "]", "f32" })
      local dead = row[1]:find "Depth_Adapter"
      equal({ row[4], row[5] }, dead and { "dead", "depth branch; a 2-D build has none" } or { "used", "" })
    end
  end)

  it("shows hostile names without their control characters", function()
    local list = fake.model "sam"
    list[#list + 1] = { "evil\27[31m\n", { 1 } }
    holds(table.concat(inspect.tensors_text((inspect.report(fake.open(list))))), "evil\\x1b[31m\\x0a")
  end)
end)

describe("the report", function()
  it("counts fates and values", function()
    local list = fake.model "msa-2024"
    local found = inspect.report(fake.open(list))
    local values = 0
    for _, one in ipairs(list) do
      local n = 1
      for _, size in ipairs(one[2]) do n = n * size end
      values = values + n
    end
    equal(found.values, values)
    equal(found.totals, { used = #list - 1 - 16, folded = 0, resampled = 1, dead = 16 })
  end)

  it("names the dialect, or the candidates", function()
    equal(report("msa-2023").dialect, "msa-2023")
    local open = report "msa-2024"
    equal(open.dialect, nil)
    equal(open.candidates, { "msa-2024", "msa-2025" })
    equal(open.model.normalise, "unit | imagenet255")
    equal(open.model.training_clicks, "(row,column) | (x,y)")
  end)

  it("refuses what is no model", function()
    refuses(function() inspect.report(fake.open { { "conv1.weight", { 3 } } }) end, "conv1.weight")
    refuses(function()
      inspect.report(fake.open(fake.remove(fake.model "sam", "mask_decoder.iou_token.weight")))
    end, "mask_decoder.iou_token.weight")
  end)
end)

local json = spec.host "msagen.json"
if json then
  describe("the JSON", function()
    it("holds the report", function()
      local found = json.decode(json.encode(inspect.json(report "msa-2024"), { indent = 1 }), "inspect")
      equal(found.candidates, { "msa-2024", "msa-2025" })
      equal(found.file.path, "fake.pth")
      equal(found.tensors[1].shape, { 1, 64, 64, 24 })
      equal(found.model.global_blocks, { 1, 3 })
    end)
    it("says null where the file says nothing", function()
      local found = json.decode(json.encode(inspect.json(report("msa-2024",
        { encoder_adapters = false, lora = 2, table_grid = 64 }))), "inspect")
      equal({ found.dialect, found.model.image_size, found.file.prefix }, { json.null, json.null, json.null })
      equal({ found.model.default_size, found.model.window }, { 1024, 5 })
    end)
    it("writes an empty list as one", function()
      holds(json.encode(inspect.json(report "msa-paper"), { indent = 0 }), '"choices":')
      assert(json.encode(inspect.json(report "msa-paper")):find '"choices"%s*:%s*%[%s*%]')
    end)
  end)
end
