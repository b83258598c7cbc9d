-- SPDX-License-Identifier: Apache-2.0
-- Import: the file's own resolution, another one, and which blocks are global (DIALECTS.md section 3, below the table).

local spec = require "spec"
local fake = require "fake_checkpoint"
local import = require "import.import"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

local function load(list, options) return import.load(fake.open(list), fake.options(list, options)) end
local function late(changes, options)
  options = options or {}
  options.dialect = options.dialect or "msa-2025"
  return load(fake.model("msa-2024", changes), options)
end

local function globals(model)
  return table.concat(model.encoder.global_list, ",")
end

describe("the file's own resolution", function()
  it("is pos_embed's in sam, msa-2023 and msa-paper", function()
    for _, name in ipairs { "sam", "msa-2023", "msa-paper" } do
      local model = load(fake.model(name))
      equal({ model.file_size, model.image_size, model.grid }, { 224, 224, 14 })
      equal(model.tensor["image_encoder.pos_embed"].history, {})
    end
  end)

  it("is the global tables' in 2024 and 2025, whose pos_embed is always resampled to it", function()
    local model = late()
    equal({ model.file_size, model.image_size, model.grid, model.encoder.window, globals(model) },
      { 224, 224, 14, 5, "1,3" })
    local position = model.tensor["image_encoder.pos_embed"]
    equal(position.shape, { 1, 14, 14, 24 })
    equal(position.history, { "permute 1,4,2,3", "bicubic 14x14", "permute 1,3,4,2" })
    equal(position.name, "image_encoder.pos_embed")
    equal({ model.fates[1].fate, model.fates[1].why }, { "resampled", "64x64 to 14x14, bicubic" })
    equal(model.tensor["image_encoder.blocks.1.attn.rel_pos_h"].history, {})
  end)

  it("of 1024 resamples nothing", function()
    local model = late { grid = 64, window = 14 }
    equal({ model.file_size, model.fates[1].fate }, { 1024, "used" })
  end)

  it("is not in LoRA files: 1024, or as told", function()
    local lora = { encoder_adapters = false, lora = 2, table_grid = 64 }
    local model = import.account(fake.open(fake.model("msa-2024", lora)), { dialect = "msa-2025" })
    equal({ model.file_size, model.image_size, model.grid, model.pad, model.adapters },
      { nil, 1024, 64, "zero", "none" })
    model = import.account(fake.open(fake.model("msa-2024", lora)), { dialect = "msa-2025", resolution = 224 })
    equal({ model.file_size, model.image_size, model.grid, model.encoder.window, globals(model) },
      { nil, 224, 14, 5, "1,3" })
    local fates = {}
    for _, fate in ipairs(model.fates) do fates[fate.name] = fate end
    equal(fates["image_encoder.blocks.1.attn.rel_h"].why, "127 to 27, linear")
    equal(fates["image_encoder.blocks.1.attn.qkv.lora_A"].fate, "folded")
    equal(fates["image_encoder.blocks.1.attn.qkv.weight"].why, "with its LoRA pair added")
  end)

  it("is taken like a LoRA file's where there are neither adapters nor pairs", function()
    local model = late { encoder_adapters = false, table_grid = 64 }
    equal({ model.file_size, model.image_size, model.pad }, { nil, 1024, "zero" })
  end)

  it("needs a 64x64 pos_embed in 2024 and 2025", function()
    refuses(function() late { position = 32 } end, "image_encoder.pos_embed is [1,32,32,24]", "expected [1,64,64,24]")
  end)
end)

describe("another resolution", function()
  it("is refused for sam and msa-2023", function()
    refuses(function() load(fake.model "msa-2023", { resolution = 512 }) end,
      "fake.pth: image_encoder.blocks.3.attn.rel_pos_h is [27,8]; a global block at resolution 512 needs [63,8] or a "
      .. "table that can be resampled, "
        .. "and msa-2023 files are not resampled: use the file's own resolution, 224")
    refuses(function()
      load(fake.model("sam", { global = {} }), { resolution = 512 })
    end, "image_encoder.pos_embed is [1,14,14,24]", "224")
    equal(load(fake.model "sam", { resolution = 224 }).grid, 14)
  end)

  it("resamples positions of the others: absolute bicubic, relative linear, windows not at all", function()
    for _, name in ipairs { "msa-2024", "msa-paper" } do
      local model = load(fake.model(name), { dialect = name, resolution = 320 })
      equal({ model.image_size, model.grid, model.file_size, model.file_grid }, { 320, 20, 224, 14 })
      equal(model.tensor["image_encoder.pos_embed"].shape, { 1, 20, 20, 24 })
      for _, axis in ipairs { "h", "w" } do
        equal(model.tensor["image_encoder.blocks.3.attn.rel_pos_" .. axis].history, { "linear 39" })
        equal(model.tensor["image_encoder.blocks.2.attn.rel_pos_" .. axis].history, {})
      end
    end
  end)

  it("is a multiple of the patch", function()
    for _, size in ipairs { 225, 0, -16, 8, 16400, 2 ^ 40 | 0 } do
      refuses(function() load(fake.model "msa-paper", { resolution = size }) end, ("--resolution %d"):format(size),
        "multiple of the patch, 16")
    end
  end)
end)

describe("which blocks are global", function()
  local equal_sizes = { window = 14 }

  it("does not matter at the file's own resolution where grid and window are equal", function()
    local model = load(fake.model("msa-paper", equal_sizes))
    equal({ model.encoder.window, globals(model) }, { 0, "0,1,2,3" })
  end)

  it("must be said at another one", function()
    refuses(function()
      load(fake.model("msa-paper", equal_sizes), { resolution = 320 })
    end, "--global-blocks", "both 14")
    refuses(function() late(equal_sizes, { resolution = 320 }) end, "--global-blocks", "both 14")
    local model = late(equal_sizes, { resolution = 320, global_blocks = { 1, 3 } })
    equal({ model.encoder.window, model.grid, globals(model) }, { 14, 20, "1,3" })
    equal(model.tensor["image_encoder.blocks.0.attn.rel_pos_h"].history, {})
    equal(model.tensor["image_encoder.blocks.1.attn.rel_pos_h"].history, { "linear 39" })
  end)

  it("must not contradict the tables", function()
    refuses(function()
      load(fake.model "msa-paper", { global_blocks = { 0, 2 } })
    end, "blocks.0.attn.rel_pos_h is [9,8]", "--global-blocks")
    refuses(function() load(fake.model "msa-paper", { global_blocks = { 3 } }) end, "blocks.1.attn.rel_pos_h is [27,8]")
    refuses(function() load(fake.model "msa-paper", { global_blocks = { 4 } }) end, "--global-blocks", "0 to 3", "4")
    equal(globals(load(fake.model "msa-paper", { global_blocks = { 1, 3 } })), "1,3")
  end)

  it("is told by the last block where 2024 tables alone could mean both", function()
    local model = late({ grid = 14, window = 5 }, { resolution = 80 })
    equal({ model.file_grid, model.encoder.window, globals(model) }, { 14, 5, "1,3" })
  end)

  it("is left open where the last block has the shorter table, unless the resolution fits one kind", function()
    local small = { grid = 4, window = 7 }
    local open = import.account(fake.open(fake.model("msa-2024", small)), { dialect = "msa-2024" })
    equal(open.choices[1].values, { "0,2", "1,3" })
    equal({ open.grid, open.encoder.window, open.file_size }, { nil, nil, nil })
    refuses(function() late(small) end, "--global-blocks", "0,2 or 1,3")
    equal(globals(late(small, { resolution = 64 })), "1,3")
    equal(globals(late(small, { resolution = 112 })), "0,2")
    local told = late(small, { global_blocks = { 1, 3 } })
    equal({ told.file_size, told.encoder.window }, { 64, 7 })
  end)

  it("is nothing where tables are of three lengths, even, or not square", function()
    local function broken(dialect, length)
      local list = fake.model(dialect)
      local rel = dialect == "msa-2024" and "rel_" or "rel_pos_"
      for _, axis in ipairs { "h", "w" } do
        fake.find(list, "image_encoder.blocks.2.attn." .. rel .. axis)[2][1] = length
      end
      return list
    end
    refuses(function() load(broken("sam", 13)) end, "blocks.2.attn.rel_pos_h is [13,8]", "window of 5", "grid of 14")
    refuses(function()
      load(broken("msa-2024", 13), { dialect = "msa-2024" })
    end, "blocks.2.attn.rel_h is [13,8]", "5 or 14")
    refuses(function() load(broken("sam", 10)) end, "blocks.2.attn.rel_pos_h is [10,8]", "odd")
    local list = fake.model "sam"
    fake.find(list, "image_encoder.blocks.2.attn.rel_pos_w")[2][1] = 11
    refuses(function() load(list) end, "blocks.2.attn.rel_pos_w is [11,8]", "expected [9,8]")
  end)
end)

describe("warnings", function()
  local function warned(model, piece)
    for _, text in ipairs(model.warnings) do
      if text:find(piece, 1, true) then return true end
    end
    return false
  end

  it("tell of click order and zero tables", function()
    equal(warned(load(fake.model "msa-2023"), "--click-order rc"), true)
    equal(warned(late(nil, { dialect = "msa-2024" }), "--click-order rc"), true)
    equal(warned(late(), "--click-order rc"), false)
    equal(warned(late(), "all zero"), false)
    local list = fake.model "msa-2024"
    for i = 0, 3 do
      for _, axis in ipairs { "h", "w" } do
        fake.find(list, ("image_encoder.blocks.%d.attn.rel_%s"):format(i, axis)).zero = true
      end
    end
    equal(warned(load(list, { dialect = "msa-2025" }), "all blocks are all zero"), true)
    equal(load(list, { dialect = "msa-2025", resolution = 224 }).fates[6].why, "all zero")
    fake.find(list, "image_encoder.blocks.2.attn.rel_w").zero = false
    equal(warned(load(list, { dialect = "msa-2025" }), "blocks 0,1,3 are all zero"), true)
  end)
end)
