-- SPDX-License-Identifier: Apache-2.0
-- Import: what DIALECTS.md section 3 says of each dialect, read from names and shapes alone.

local spec = require "spec"
local fake = require "fake_checkpoint"
local import = require "import.import"
local tier = require "tier"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds

local function account(list, options) return (import.account(fake.open(list), options)) end
local function load(list, options) return import.load(fake.open(list), fake.options(list, options)) end

-- Small enough to break one tensor at a time.
local few = { blocks = 2, global = { 1 } }

local function fate_of(model, name)
  for _, fate in ipairs(model.fates) do
    if fate.name == name then return fate end
  end
end

local function warned(model, piece)
  for _, text in ipairs(model.warnings) do
    if text:find(piece, 1, true) then return true end
  end
  return false
end

describe("the dialect", function()
  local sure = { "msa-2023", "msa-paper" }
  for _, name in ipairs(sure) do
    it(name .. " is recognised", function()
      local model = load(fake.model(name))
      equal(model.dialect, name)
      equal(model.candidates, { name })
      equal(model.choices, {})
    end)
  end

  it("has another's network where only pictures are prepared otherwise", function()
    local dialects, alike = require "import.dialects", {}
    for _, one in ipairs(dialects.all()) do
      if dialects.same_network(one, dialects.named "sam") then alike[#alike + 1] = one.name end
    end
    equal(alike, { "sam", "medsam" })
  end)
  it("is left open between SAM and MedSAM", function()
    local model = account(fake.model "sam")
    equal(model.candidates, { "sam", "medsam" })
    equal(model.choices[1].option, "--dialect")
    equal(load(fake.model "sam", { dialect = "medsam" }).mask_from, "probabilities")
  end)

  it("is left open between 2024 and 2025", function()
    local model = account(fake.model "msa-2024")
    equal(model.dialect, nil)
    equal(model.candidates, { "msa-2024", "msa-2025" })
    equal(model.choices[1].option, "--dialect")
  end)

  it("must be said to build a 2024 or 2025 file", function()
    refuses(function() load(fake.model "msa-2024") end, "fake.pth", "--dialect", "msa-2024 or msa-2025")
    for _, name in ipairs { "msa-2024", "msa-2025" } do
      equal(load(fake.model "msa-2024", { dialect = name }).dialect, name)
    end
  end)

  it("must not contradict the tensors", function()
    for _, file in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
      for _, said in ipairs { "sam", "msa-2023", "msa-2024", "msa-2025", "msa-paper" } do
        local fits = said == file or file == "msa-2024" and said == "msa-2025"
        if fits then
          equal(load(fake.model(file), { dialect = said }).dialect, said)
        else
          refuses(function()
            load(fake.model(file), { dialect = said })
          end, "fake.pth: --dialect " .. said, "expected", "found")
        end
      end
    end
  end)

  it("must be known", function()
    refuses(function()
      load(fake.model "sam", { dialect = "msa-2022" })
    end, "--dialect", "expected sam, hf-sam, msa-2023, medsam, ", "found msa-2022")
  end)

  it("is none where marks of several are mixed", function()
    local mixed = fake.model("sam", { lora = 2 })
    refuses(function() account(mixed) end, "fake.pth: dialect", "LoRA pairs")
    local both = fake.model "msa-2023"
    both[#both + 1] = { "image_encoder.blocks.0.attn.rel_h", { 9, 8 } }
    refuses(function() account(both) end, "both rel_pos_h/w and rel_h/w")
  end)

  it("is none of a file that is another network", function()
    refuses(function()
      account { { "conv1.weight", { 64, 3, 7, 7 } }, { "fc.bias", { 10 } } }
    end, "image_encoder.", "conv1.weight")
    refuses(function() account {} end, "no tensor")
  end)
end)

describe("what a dialect means", function()
  local function facts(name)
    local m = load(fake.model(name == "msa-2025" and "msa-2024" or name), { dialect = name })
    return { m.pad, m.first_self_attention, m.position_stays, m.mask_rule, m.normalise.kind, m.resize, m.adapters,
      m.adapter_activation }
  end
  it("sam", function()
    equal(facts "sam", { "zero", "replace", false, "multimask", "imagenet255", "longest", "none", nil })
  end)
  it("msa-2023", function()
    equal(facts "msa-2023", { "norm1_bias", "replace", false, "multimask", "unit", "squash", "encoder", "gelu" })
  end)
  it("msa-2024", function()
    equal(facts "msa-2024", { "norm1_bias", "add", true, "first", "unit", "squash", "encoder", "gelu" })
  end)
  it("msa-2025", function()
    equal(facts "msa-2025", { "norm1_bias", "add", true, "first", "imagenet255", "squash", "encoder", "gelu" })
  end)
  it("msa-paper", function()
    equal(facts "msa-paper", { "norm1_bias", "replace", false, "multimask", "imagenet255", "squash", "paper", "relu" })
  end)

  it("unit is x/255 through mean and deviation", function()
    local normalise = load(fake.model "msa-2023").normalise
    equal(normalise.mean, { 0, 0, 0 })
    equal(normalise.std, { 255, 255, 255 })
  end)
end)

describe("hyper-parameters", function()
  it("come from shapes", function()
    local m = load(fake.model("sam", {
      dim = 40, heads = 5, blocks = 6, patch = 8, grid = 9, window = 4, global = { 0, 5 }, out = 48, decoder_mlp = 72,
        masks = 6, cross = 16,
    }))
    local e = m.encoder
    equal({ e.dim, e.heads, e.blocks, m.patch, m.grid, e.window, m.out, e.mlp }, { 40, 5, 6, 8, 9, 4, 48, 160 })
    equal(m.encoder.global, { [0] = true, false, false, false, false, true })
    equal({ m.image_size, m.file_size, m.file_grid }, { 72, 72, 9 })
    local d = m.decoder
    equal({ d.heads, d.layers, d.mlp, d.masks, d.cross, d.iou_layers, d.hyper_layers }, { 8, 2, 72, 6, 16, 3, 3 })
    equal({ m.depth, m.click_order, m.adapter_scale }, { 1, "xy", 0.5 })
  end)

  it("hidden widths of adapters are free", function()
    local model = load(fake.model("msa-2023", { hidden = 7 }))
    equal(model.tensor["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"].shape, { 7, 24 })
  end)

  it("an encoder may have no windowed block, or no global one", function()
    local all = load(fake.model("sam", { global = { 0, 1, 2, 3 } }))
    equal({ all.encoder.window, all.encoder.global[0], all.encoder.global[3] }, { 0, true, true })
    local none = load(fake.model("sam", { global = {} }))
    equal({ none.encoder.window, none.encoder.global[0], none.grid }, { 5, false, 14 })
  end)

  it("a window may be wider than the grid", function()
    local m = load(fake.model("msa-2023", { grid = 4, window = 7 }))
    equal({ m.grid, m.encoder.window, m.encoder.global[0], m.encoder.global[1] }, { 4, 7, false, true })
  end)

  it("the decoder's heads are an option that must divide", function()
    equal(load(fake.model "sam", { decoder_heads = 4 }).decoder.heads, 4)
    refuses(function() load(fake.model "sam", { decoder_heads = 5 }) end, "--decoder-heads 5", "32 and 16")
    refuses(function() load(fake.model "sam", { decoder_heads = 0 }) end, "--decoder-heads", "found 0")
  end)

  it("clicks may be (row, column)", function()
    equal(load(fake.model "msa-2023", { click_order = "rc" }).click_order, "rc")
    refuses(function() load(fake.model "msa-2023", { click_order = "yx" }) end, "--click-order", "yx")
  end)
end)

describe("classes", function()
  local function classes(masks, n)
    return load(fake.model("msa-2024", { masks = masks }), { dialect = "msa-2025", classes = n }).classes
  end
  it("default to 1", function() equal(classes(4), 1) end)
  it("have at least four tokens", function()
    equal(classes(4, 2), 2)
    equal(classes(4, 4), 4)
    equal(classes(6, 6), 6)
    refuses(function() classes(4, 5) end, "--classes 5", "1 to 4")
    refuses(function() classes(6, 5) end, "--classes 5", "expected 6")
    refuses(function() classes(3, 1) end, "mask_tokens", "at least 4")
  end)
  it("are as many as the tokens past four", function() equal(classes(6), 6) end)
  it("exist in 2024 and 2025 only", function()
    refuses(function() load(fake.model "msa-2023", { classes = 2 }) end, "--classes 2", "msa-2023")
    equal(load(fake.model "msa-2023", { classes = 1 }).classes, nil)
  end)
end)

describe("names", function()
  it("lose module.", function()
    local model = load(fake.prefixed(fake.model "msa-2023", "module."))
    equal(model.dialect, "msa-2023")
    equal(model.tensor["image_encoder.pos_embed"].name, "module.image_encoder.pos_embed")
    equal(model.fates[1].name, "module.image_encoder.pos_embed")
  end)

  it("all begin with module., or none", function()
    local model = fake.model "sam"
    model[3][1] = "module." .. model[3][1]
    refuses(function() load(model) end, "module.", "image_encoder.pos_embed")
  end)

  it("of 2024 become SAM's", function()
    local model = load(fake.model "msa-2024", { dialect = "msa-2024" })
    equal(model.tensor["image_encoder.blocks.2.attn.rel_pos_h"].name, "image_encoder.blocks.2.attn.rel_h")
    equal(model.tensor["mask_decoder.transformer.layers.1.mlp.lin1.weight"].name,
      "mask_decoder.transformer.layers.1.mlp.layers.0.0.weight")
    equal(model.tensor["mask_decoder.transformer.layers.1.mlp.lin2.bias"].name,
      "mask_decoder.transformer.layers.1.mlp.fc.bias")
  end)
end)

describe("fates", function()
  for _, name in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
    it("every tensor of " .. name .. " has one, in file order, and every used one is in the model once", function()
      local list = fake.model(name)
      local model = load(list, { dialect = name })
      equal(#model.fates, #list)
      local used, named = 0, 0
      for i, fate in ipairs(model.fates) do
        equal(fate.name, list[i][1])
        equal(fate.shape, list[i][2])
        if fate.fate == "used" or fate.fate == "resampled" then used = used + 1 end
        if fate.fate == "dead" then holds(fate.name, "Depth_Adapter") end
      end
      for _ in pairs(model.tensor) do named = named + 1 end
      equal(named, used)
    end)
  end

  it("Depth_Adapter is dead in 2-D", function()
    local model = load(fake.model "msa-2023")
    local fate = fate_of(model, "image_encoder.blocks.1.Depth_Adapter.D_fc2.bias")
    equal({ fate.fate, fate.why }, { "dead", "depth branch; a 2-D build has none" })
    equal(model.tensor["image_encoder.blocks.1.Depth_Adapter.D_fc2.bias"], nil)
    assert(warned(model, "Depth_Adapter"))
  end)

  it("Depth_Adapter may be missing in 2-D", function()
    equal(load(fake.model("msa-2023", { depth_adapters = false })).dialect, "msa-2023")
  end)

  it("foreign tensors are dead, and say why", function()
    local list = fake.model "sam"
    list[#list + 1] = { "pixel_mean", { 3, 1, 1 } }
    list[#list + 1] = { "optimizer.state.0.exp_avg", { 2 }, "i64" }
    list[#list + 1] = { "image_encoder.blocks.0.attn.total_ops", { 1 }, "f64" }
    local model = load(list)
    for k = 0, 2 do
      local fate = model.fates[#list - k]
      equal(fate.fate, "dead")
      assert(#fate.why > 0)
    end
  end)

  it("an unknown tensor of the network is refused", function()
    local list = fake.model "sam"
    list[#list + 1] = { "mask_decoder.hf_token.weight", { 1, 32 } }
    refuses(function() load(list) end, "fake.pth: mask_decoder.hf_token.weight: unknown tensor")
    list = fake.model "msa-2023"
    list[#list + 1] = { "image_encoder.blocks.0.Text_Adapter.D_fc1.weight", { 6, 24 } }
    refuses(function() load(list) end, "Text_Adapter")
  end)
end)

describe("missing tensors", function()
  it("are named, whichever it is", function()
    for _, name in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
      for _, one in ipairs(fake.model(name, few)) do
        if not one[1]:find "Depth_Adapter" and tier.sampled(name .. one[1], 4) then
          local list = fake.remove(fake.model(name, few), one[1])
          refuses(function() load(list, { dialect = name }) end, one[1])
        end
      end
    end
  end)

  it("are named as the file names the others", function()
    local list = fake.prefixed(fake.remove(fake.model "msa-2024", "mask_decoder.transformer.layers.0.mlp.fc.weight"),
      "module.")
    refuses(function()
      load(list, { dialect = "msa-2024" })
    end, "module.mask_decoder.transformer.layers.0.mlp.fc.weight: expected")
  end)

  it("are counted where a block is missing", function()
    local list, rest = fake.model "sam", {}
    for _, one in ipairs(list) do
      if not one[1]:find("blocks.2.", 1, true) then rest[#rest + 1] = one end
    end
    refuses(function() load(rest) end, "image_encoder.blocks.2.norm1.weight", "13 others")
  end)

  it("make an adapter-only file", function()
    local rest = {}
    for _, one in ipairs(fake.model "msa-2023") do
      if one[1]:find "_Adapter" or one[1]:find "^mask_decoder" then rest[#rest + 1] = one end
    end
    refuses(function() load(rest) end, "image_encoder.patch_embed.proj.weight", "adapter-only")
  end)
end)

describe("shapes", function()
  it("that do not fit are refused, whichever tensor and dimension it is", function()
    for _, name in ipairs { "sam", "msa-2024", "msa-paper" } do
      for i, one in ipairs(fake.model(name, few)) do
        for d = 1, tier.sampled(name .. one[1], 4) and #one[2] or 0 do
          local list = fake.model(name, few)
          list[i][2][d] = list[i][2][d] + 1
          refuses(function() load(list, { dialect = name }) end, "fake.pth: ", "expected")
        end
        if tier.sampled(name .. one[1], 4) then
          local list = fake.model(name, few)
          list[i][2][#one[2] + 1] = 1
          refuses(function() load(list, { dialect = name }) end, one[1] .. " is [", "expected [")
        end
      end
    end
  end)

  it("say what was expected, found, and why", function()
    local list = fake.model "sam"
    fake.find(list, "image_encoder.blocks.3.attn.qkv.weight")[2] = { 72, 25 }
    refuses(function() load(list) end,
      "fake.pth: image_encoder.blocks.3.attn.qkv.weight is [72,25]; expected [72,24] (dim = 24, from "
      .. "image_encoder.patch_embed.proj.weight)")
  end)

  it("of nothing are refused", function()
    for _, name in ipairs { "image_encoder.patch_embed.proj.weight", "mask_decoder.mask_tokens.weight" } do
      local list = fake.model "sam"
      fake.find(list, name)[2][1] = 0
      refuses(function() load(list) end, name)
    end
    local list = fake.model "sam"
    fake.find(list, "image_encoder.pos_embed")[2] = {}
    refuses(function() load(list) end, "image_encoder.pos_embed is []")
  end)

  it("of integers are refused", function()
    local list = fake.model "sam"
    fake.find(list, "image_encoder.neck.1.bias")[3] = "i64"
    refuses(function() load(list) end, "image_encoder.neck.1.bias is i64", "f16")
    for _, dtype in ipairs { "f16", "bf16", "f64" } do
      fake.find(list, "image_encoder.neck.1.bias")[3] = dtype
      equal(fate_of(load(list), "image_encoder.neck.1.bias").dtype, dtype)
    end
  end)

  it("huge ones overflow nothing", function()
    local list = fake.model "sam"
    fake.find(list, "image_encoder.patch_embed.proj.weight")[2][1] = math.maxinteger
    refuses(function() load(list) end, "expected")
    list = fake.model "sam"
    list[#list + 1] = { "image_encoder.blocks.9999.norm1.weight", { 24 } }
    refuses(function() load(list) end, "image_encoder.blocks.4.norm1.weight")
    list[#list][1] = "image_encoder.blocks.99999999999999999999.norm1.weight"
    refuses(function() load(list) end, "unknown tensor")
    list[#list][1] = "mask_decoder.output_hypernetworks_mlps.9999.layers.0.weight"
    list[#list + 1] = { "mask_decoder.output_hypernetworks_mlps.0.layers.9999.weight", { 1 } }
    refuses(function() load(list) end, "output_hypernetworks_mlps.0.layers.3.weight")
  end)

  it("of hostile names are shown in one line", function()
    local list = fake.model "sam"
    list[#list + 1] = { "mask_decoder.\27[2J\nx\xff", { 1 } }
    refuses(function() load(list) end, "mask_decoder.\\x1b[2J\\x0ax\\xff: unknown")
    list[#list][1] = "mask_decoder." .. ("x"):rep(5000)
    refuses(function() load(list) end, "xxx...")
  end)
end)

describe("volumes", function()
  it("use the depth branch", function()
    local model = load(fake.model "msa-2023", { depth = 6 })
    equal({ model.depth, model.chunk }, { 6, 6 })
    equal(fate_of(model, "image_encoder.blocks.1.Depth_Adapter.D_fc2.bias").fate, "used")
    assert(model.tensor["image_encoder.blocks.1.Depth_Adapter.D_fc2.bias"])
  end)
  it("need its adapters", function()
    refuses(function()
      load(fake.model("msa-2023", { depth_adapters = false }), { depth = 6 })
    end, "blocks.0.Depth_Adapter.D_fc1.weight")
    refuses(function() load(fake.model "sam", { depth = 6 }) end, "--depth 6", "sam")
  end)
  it("run in chunks that divide the depth", function()
    equal(load(fake.model "msa-2023", { depth = 12, chunk = 6 }).chunk, 6)
    equal(load(fake.model "msa-2024", { dialect = "msa-2025", depth = 6, chunk = "none" }).chunk, false)
    refuses(function() load(fake.model "msa-2023", { depth = 12, chunk = 5 }) end, "--chunk", "12", "5")
    refuses(function() load(fake.model "msa-2023", { depth = 12, chunk = 1 }) end, "--chunk 1", "at least 2")
    refuses(function() load(fake.model "msa-paper", { depth = 12, chunk = 6 }) end, "--chunk 6", "msa-paper")
    refuses(function() load(fake.model "msa-paper", { depth = 12, chunk = "none" }) end, "--chunk none", "msa-paper")
    equal(load(fake.model "msa-paper", { depth = 12, chunk = 12 }).chunk, 12)
    for _, chunk in ipairs { 1, 2, "none" } do refuses(function() load(fake.model "msa-2023",
      { depth = 1, chunk = chunk }) end, "--chunk " .. chunk, "--depth 2") end
    refuses(function() load(fake.model "msa-2023", { depth = 65537 }) end, "--depth 65537", "65536")
    refuses(function() load(fake.model "msa-2023", { depth = 0 }) end, "--depth", "0")
  end)
  it("lay a sequence out as the released search does", function()
    local depth = require "import.depth"
    for length, grid in pairs { [6] = { 2, 3 }, [8] = { 2, 4 }, [12] = { 3, 4 }, [2] = { 1, 2 }, [7] = { 1, 7 },
      [9] = { 1, 9 }, [4] = { 1, 4 } } do
      equal({ depth.grid(length) }, grid)
    end
    equal(depth.grid(1), nil)
  end)
end)
