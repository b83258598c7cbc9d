-- SPDX-License-Identifier: Apache-2.0
-- --base: adapter-only and delta files on a backbone, whose names may be SAM's (DIALECTS.md sections 3 and 4).

local spec = require "spec"
local fake = require "fake_checkpoint"
local import = require "import.import"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

local function is_adapter(name) return name:find "_Adapter%." ~= nil end
local function is_decoder(name) return name:find "^mask_decoder" ~= nil end
local function is_lora(name) return name:find "lora_" ~= nil end

-- A late dialect's whole model at 1024, so that SAM's tables and positions are as long.
local late = { position = 64, grid = 64 }

local function backbone(changes) return fake.open(fake.model("sam", changes), "base.pth") end
local function load(list, options, path) 
  return import.load(fake.open(list, path or "delta.pth"), fake.options(list, options))
 end
local function plan(list, options)
  return (import.account(fake.open(list, "delta.pth"), fake.options(list, options)))
end

local function warned(model, piece)
  for _, text in ipairs(model.warnings) do
    if text:find(piece, 1, true) then return true end
  end
  return false
end

local function origin(model, name)
  for _, fate in ipairs(model.fates) do
    if fate.name == name and fate.fate ~= "dead" then return fate.file end
  end
end

local kinds = {
  { "adapters", is_adapter },
  { "adapters and decoder", function(name) return is_adapter(name) or is_decoder(name) end },
  { "adapters, decoder and positions", function(name)
    return is_adapter(name) or is_decoder(name) or name:find "pos_embed"
  end },
  { "everything but the patch embedding", function(name) return not name:find "patch_embed" end },
}

describe("an adapter-only file", function()
  it("is refused without a base, in a line that names --base", function()
    for _, dialect in ipairs { "msa-2023", "msa-2024", "msa-paper" } do
      for _, kind in ipairs(kinds) do
        refuses(function()
          plan(fake.only(fake.model(dialect), kind[2]))
        end, "delta.pth: image_encoder.patch_embed.proj.weight", "--base FILE")
      end
    end
    refuses(function()
      plan(fake.only(fake.model("msa-2024", { encoder_adapters = false, lora = 2 }), is_lora))
    end, "--base FILE")
    refuses(function() plan(fake.only(fake.model "sam", is_decoder)) end, "--base FILE")
  end)

  it("names no base where a whole file lacks a tensor or two", function()
    local ok, problem = pcall(plan, fake.remove(fake.model "msa-2023", "prompt_encoder.no_mask_embed.weight"))
    equal(ok, false)
    equal(problem.msagen:find("--base", 1, true), nil)
  end)

  for _, dialect in ipairs { "msa-2023", "msa-2024", "msa-paper" } do
    for _, kind in ipairs(kinds) do
      it(("of %s with %s is whole with a base"):format(dialect, kind[1]), function()
        local shape = dialect == "msa-2024" and late or nil
        local list = fake.only(fake.model(dialect, shape), kind[2])
        local model = load(list, { dialect = dialect, base = backbone(shape) })
        local whole = load(fake.model(dialect, shape), { dialect = dialect })
        for _, field in ipairs { "dialect", "image_size", "encoder", "adapters",
          "adapter_activation", "pad", "decoder" } do
          equal(model[field], whole[field], field)
        end
        local named = 0
        for name, tensor in pairs(whole.tensor) do
          named = named + 1
          equal(model.tensor[name].shape, tensor.shape, name)
        end
        for _ in pairs(model.tensor) do named = named - 1 end
        equal(named, 0)
        equal(model.source.base.path, "base.pth")
        equal(#model.source.base.sha256, 64)
      end)
    end
  end

  it("says of every tensor from which file it came", function()
    local list = fake.only(fake.model "msa-2023", kinds[2][2])
    local base = fake.model "sam"
    local model = load(list, { base = backbone() })
    equal(#model.fates, #list + #base)
    for i, fate in ipairs(model.fates) do
      equal(fate.name, (list[i] or base[i - #list])[1])
      equal(fate.file, i <= #list and "checkpoint" or "base")
      if i > #list then
        equal({ fate.fate, fate.why }, is_decoder(fate.name) and { "dead", "the checkpoint has its own" }
          or { "used", "" })
      end
    end
    equal(load(fake.model "msa-2023").fates[1].file, nil)
  end)

  it("may have another prefix than its base", function()
    local list = fake.prefixed(fake.only(fake.model "msa-2023", is_adapter), "module.")
    local model = load(list, { dialect = "msa-2023", base = backbone() })
    equal(model.tensor["image_encoder.neck.0.weight"].name, "image_encoder.neck.0.weight")
    equal(model.tensor["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"].name,
      "module.image_encoder.blocks.0.Space_Adapter.D_fc1.weight")
  end)
end)

describe("the dialect of a delta", function()
  it("is refused where adapters alone could be of three", function()
    local list = fake.only(fake.model("msa-2023", late), is_adapter)
    refuses(function()
      load(list, { base = backbone(late) })
    end, "delta.pth: --dialect", "msa-2023, msa-2024 or msa-2025")
    equal(plan(list, { base = backbone(late) }).candidates, { "msa-2023", "msa-2024", "msa-2025" })
  end)
  it("is told by shapes that only one program can have", function()
    local list = fake.only(fake.model "msa-2023", is_adapter)
    equal(load(list, { base = backbone() }).dialect, "msa-2023")
    equal(plan(list, { base = backbone { position = 64 } }).candidates, { "msa-2024", "msa-2025" })
    refuses(function() plan(list, { base = backbone(), resolution = 512 }) end, "msa-2023 files are not resampled")
  end)
  it("is told by the decoder's names and adapters", function()
    equal(load(fake.only(fake.model "msa-2023", kinds[2][2]), { base = backbone() }).dialect, "msa-2023")
    equal(load(fake.only(fake.model "msa-paper", is_adapter), { base = backbone() }).dialect, "msa-paper")
    equal(plan(fake.only(fake.model("msa-2024", late), kinds[2][2]), { base = backbone(late) }).candidates,
      { "msa-2024", "msa-2025" })
    equal(load(fake.only(fake.model "sam", is_decoder), { base = backbone() }).dialect, "sam")
  end)
  it("is told by a base of a later program, not by SAM's", function()
    local list = fake.only(fake.model "msa-2023", is_adapter)
    local base = fake.open(fake.model("msa-2024", { encoder_adapters = false }), "base.pth")
    equal(plan(list, { base = base }).candidates, { "msa-2024", "msa-2025" })
  end)
  it("must not be contradicted", function()
    refuses(function()
      load(fake.only(fake.model "msa-2023", kinds[2][2]), { dialect = "msa-2025", base = backbone() })
    end, "--dialect msa-2025")
    refuses(function()
      load(fake.only(fake.model "msa-2023", is_adapter), { dialect = "sam", base = backbone() })
    end, "--dialect sam")
  end)
end)

describe("LoRA pairs alone", function()
  local shape = { encoder_adapters = false, lora = 2, grid = 64, position = 64 }
  it("fold into the base's weights", function()
    local list = fake.only(fake.model("msa-2024", shape), is_lora)
    local model = load(list, { dialect = "msa-2025", base = backbone(late) })
    equal({ model.lora, model.pad, model.adapters, model.image_size }, { true, "zero", "none", 1024 })
    equal(type(model.tensor["image_encoder.blocks.2.mlp.lin1.weight"].rows), "function")
    equal(origin(model, "image_encoder.blocks.2.mlp.lin1.weight"), "base")
    equal(origin(model, "image_encoder.blocks.2.mlp.lin1.lora_A"), "checkpoint")
    equal(warned(model, "folded already"), false)
  end)
  it("merged may change the weights that they were added to, and no other", function()
    local merged = { encoder_adapters = false, grid = 64, position = 64 }
    local list = fake.only(fake.model("msa-2024", merged), function(name) return not name:find "patch_embed" end)
    for _, one in ipairs(list) do
      if one[1]:find "qkv.weight$" or one[1]:find "mlp.lin[12].weight$" then one.values = "merged" end
    end
    local model = load(list, { dialect = "msa-2025", base = backbone(late) })
    equal(model.tensor["image_encoder.blocks.0.attn.qkv.weight"].values, "merged")
    equal(warned(model, "merged LoRA pairs"), true)
    fake.find(list, "image_encoder.blocks.0.attn.proj.weight").values = "merged"
    refuses(function()
      load(list, { dialect = "msa-2025", base = backbone(late) })
    end, "base.pth: image_encoder.blocks.0.attn.proj.weight: expected", "frozen")
  end)
  it("must fit it", function()
    local list = fake.only(fake.model("msa-2024", shape), is_lora)
    refuses(function() load(list, { dialect = "msa-2025", base = backbone { position = 64, grid = 64, dim = 48 } }) end,
      "delta.pth: image_encoder.blocks.0.attn.qkv.lora_B is [48,2]",
        "dim = 48, from image_encoder.patch_embed.proj.weight of base.pth")
  end)
end)

describe("a base", function()
  local function with(list, change)
    change(list)
    return fake.open(list, "base.pth")
  end
  local function differ(...)
    local names = { ... }
    return function(list)
      for _, name in ipairs(names) do fake.find(list, name).values = "another" end
    end
  end

  it("that differs in frozen tensors is refused, naming them", function()
    local whole = fake.model "msa-2023"
    refuses(function()
      load(whole, { base = with(fake.model "sam", differ "image_encoder.blocks.2.attn.qkv.weight") })
    end,
      "base.pth: image_encoder.blocks.2.attn.qkv.weight: expected the values in delta.pth", "it is frozen")
    refuses(function()
      load(whole, { base = with(fake.model "sam", differ("image_encoder.neck.1.bias", "image_encoder.pos_embed",
        "prompt_encoder.no_mask_embed.weight",
        "image_encoder.blocks.0.norm1.bias", "image_encoder.blocks.1.norm1.bias")) })
    end, "base.pth: image_encoder.pos_embed, image_encoder.blocks.0.norm1.bias, image_encoder.blocks.1.norm1.bias and "
      .. "2 more: expected", "they are frozen")
  end)

  it("may differ where training changes it: decoder, adapters, pairs", function()
    local changed = {}
    for _, one in ipairs(fake.model "msa-2023") do
      if is_decoder(one[1]) or is_adapter(one[1]) then changed[#changed + 1] = one[1] end
    end
    local base = with(fake.model "msa-2023", differ(table.unpack(changed)))
    local model = load(fake.model "msa-2023", { base = base })
    for _, name in ipairs(changed) do equal(model.tensor[name] and model.tensor[name].values, nil, name) end
  end)

  it("of SAM does not refuse the zeros that 2024's loader leaves", function()
    local list = fake.model("msa-2024", { grid = 14, position = 64 })
    local base = { grid = 64, position = 64 }
    refuses(function()
      load(list, { dialect = "msa-2025", base = backbone(base) })
    end, "base.pth: image_encoder.blocks.1.attn.rel_pos_h is [127,8]", "[27,8]")
    for _, one in ipairs(list) do one.zero = one[1]:find "rel_[hw]$" ~= nil end
    equal(load(list, { dialect = "msa-2025", base = backbone(base) }).image_size, 224)
  end)

  it("of other shapes is refused", function()
    for _, changes in ipairs { { dim = 48, heads = 6 }, { blocks = 6, global = { 1, 5 } }, { out = 64 }, { heads = 6 },
      { patch = 8 }, { window = 7 }, { grid = 16 } } do
      refuses(function() load(fake.model "msa-2023", { base = backbone(changes) }) end, "base.pth", "expected")
    end
    local list = fake.only(fake.model "msa-2023", kinds[2][2])
    refuses(function()
      load(list, { base = backbone { dim = 48, heads = 6 } })
    end, "delta.pth: image_encoder.blocks.0.MLP_Adapter.D_fc1.weight is [6,24]", "of base.pth")
    refuses(function()
      load(list, { base = backbone { blocks = 6 } })
    end, "image_encoder.blocks.4.MLP_Adapter.D_fc1.weight: expected in the file or in base.pth")
  end)

  it("must be a model, and whole enough", function()
    local list = fake.only(fake.model "msa-2023", is_adapter)
    refuses(function()
      load(list, { base = fake.open({ { "conv1.weight", { 3 } } }, "base.pth") })
    end, "base.pth: expected tensors named", "conv1.weight")
    local mixed = fake.model("sam", { lora = 2 })
    refuses(function() load(list, { base = fake.open(mixed, "base.pth") }) end, "base.pth: dialect", "LoRA")
    local short = fake.open(fake.remove(fake.model "sam", "image_encoder.neck.3.bias"), "base.pth")
    refuses(function()
      load(list, { dialect = "msa-2023", base = short })
    end, "image_encoder.neck.3.bias: expected in the file or in base.pth")
    local odd = fake.model "sam"
    odd[#odd + 1] = { "image_encoder.blocks.0.Text_Adapter.D_fc1.weight", { 6, 24 } }
    refuses(function()
      load(list, { dialect = "msa-2023", base = fake.open(odd, "base.pth") })
    end, "base.pth: image_encoder.blocks.0.Text_Adapter")
    local integers = fake.model "sam"
    fake.find(integers, "image_encoder.neck.1.bias")[3] = "i64"
    refuses(function()
      load(list, { dialect = "msa-2023", base = fake.open(integers, "base.pth") })
    end, "base.pth: image_encoder.neck.1.bias is i64")
  end)

  it("tells the resolution where the file does not, and a warning says so", function()
    local list = fake.only(fake.model "msa-paper", is_adapter)
    local model = load(list, { base = backbone() })
    equal({ model.file_size, warned(model, "224 is the base's") }, { 224, true })
    equal(warned(load(list, { base = backbone(), resolution = 320 }), "is the base's ("), false)
    equal(warned(load(fake.only(fake.model "msa-paper", kinds[3][2]), { base = backbone() }), "is the base's ("), false)
    equal(load(list, { base = backbone(), resolution = 320 }).tensor["image_encoder.pos_embed"].shape,
      { 1, 20, 20, 24 })
  end)

  it("of SAM under 2024's names is warned of", function()
    local list = fake.only(fake.model("msa-2024", late), kinds[2][2])
    equal(warned(load(list, { dialect = "msa-2024", base = backbone(late) }), "drops SAM's"), true)
    local own = fake.open(fake.model("msa-2024", { grid = 64, encoder_adapters = false }), "base.pth")
    equal(warned(load(list, { dialect = "msa-2024", base = own }), "drops SAM's"), false)
  end)
end)

local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"

-- Some of a file's tensors, under other names.
local function part(ckpt, path, accept, rename)
  local list, real = {}, {}
  for _, name in ipairs(ckpt:names()) do
    if accept(name) then
      local other = rename and rename(name) or name
      list[#list + 1] = other
      real[other] = name
    end
  end
  return { path = path, format = "pth", container = "state dict", names = function() return list end,
    tensor = function(_, name) return ckpt:tensor(real[name]) end, sha256 = function() return ckpt:sha256() end }
end

local function sam_name(name)
  return (name:gsub("attn%.rel_([hw])$", "attn.rel_pos_%1"):gsub("mlp%.layers%.0%.0%.", "mlp.lin1."):gsub("mlp%.fc%.",
    "mlp.lin2."))
end

describe("a golden file in two", function()
  for _, one in ipairs { { "msa-2023-2d", "msa-2023" }, { "msa-2024-2d", "msa-2024" }, { "msa-2025-2d", "msa-2025" },
    { "msa-paper-2d", "msa-paper" } } do
    for _, kind in ipairs(kinds) do
      it(("%s, %s: every tensor is what it was"):format(one[1], kind[1]), function()
        local ckpt = checkpoint.open(golden .. one[1] .. "/checkpoint.pth")
        local whole = import.load(ckpt, { dialect = one[2] })
        local options = { dialect = one[2], base = part(ckpt, "base.pth", function(name)
          return not is_adapter(name)
        end, sam_name) }
        local model = import.load(part(ckpt, "delta.pth", kind[2]), options)
        equal(model.image_size, whole.image_size)
        for name, tensor in pairs(whole.tensor) do assert(model.tensor[name]:equal(tensor), name) end
        for name in pairs(model.tensor) do assert(whole.tensor[name], name) end
      end)
    end
  end

  it("on another file's backbone is refused", function()
    local ckpt = checkpoint.open(golden .. "msa-2023-2d/checkpoint.pth")
    local other = checkpoint.open(golden .. "sam-2d/checkpoint.pth")
    refuses(function()
      import.load(ckpt, { base = other })
    end, "sam-2d/checkpoint.pth: image_encoder.", "frozen in training", "more")
  end)
end)
