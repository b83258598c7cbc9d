-- SPDX-License-Identifier: Apache-2.0
-- Every tensor of a checkpoint is accounted for: what is not of the network is refused or let go by name, of two sets
-- of weights one is chosen by a person, files of other networks are called by theirs; and the build says what it
-- assumes.

local spec = require "spec"
local fake = require "fake_checkpoint"
local families = require "import.families"
local harmless = require "import.harmless"
local import = require "import.import"
local inspect = require "report.inspect"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds

local few = { blocks = 2, global = { 1 } }
local function load(list, options, set)
  local ckpt = fake.open(list)
  ckpt.set = set
  return import.load(ckpt, fake.options(list, options))
end
local function with(model, ...)
  for _, one in ipairs { ... } do model[#model + 1] = one end
  return model
end
local function sam(...) return with(fake.model("sam", few), ...) end

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

describe("tensors beside the network", function()
  it("are refused: how many, the first, what to do", function()
    refuses(function() load(sam({ "lora_a.0", { 4, 24 } }, { "lora_b.0", { 24, 4 } }, { "head.weight", { 3 } })) end,
      "fake.pth: lora_a.0 (and 2 others): expected no tensor beside", "found 3", "--ignore PREFIX")
  end)

  it("are refused whatever they are: second decoders, generators, losses, running statistics", function()
    for _, name in ipairs { "mask_decoder2.iou_token.weight", "mask_decoder_teacher.mask_tokens.weight",
      "prompt_generator.shared_mlp.weight", "criterion.weight",
      "classifier.bias", "bn.running_mean", "bn.num_batches_tracked", "adapters.0.weight", "total_opsx", "pixel_meanx",
        "my_pixel_mean", "decay", "steps" } do
      refuses(function() load(sam { name, { 4 } }) end, "fake.pth: " .. name)
      equal(fate_of(import.account(fake.open(sam { name, { 4 } }), {}), name).fate, "unknown")
    end
  end)

  it("inside a part come first", function()
    refuses(function() load(sam({ "head.weight", { 3 } }, { "image_encoder.prompt_tuner.weight", { 3 } }, {
      "mask_decoder.extra", { 1 } })) end,
      "image_encoder.prompt_tuner.weight (and 1 other): unknown tensor in a part that computes")
  end)

  it("never end in advice to look for a base", function()
    local adapters = with(fake.only(fake.model "msa-2023", function(name) return name:find "Adapter"
      or name:find "^mask_decoder" end), { "extra.weight", { 3 } })
    local ok, problem = pcall(load, adapters)
    equal(ok, false)
    holds(problem.msagen, "extra.weight")
    assert(not problem.msagen:find("--base", 1, true), problem.msagen)
  end)

  it("are dead without a question where they are known to be harmless", function()
    for _, name in ipairs { "pixel_mean", "pixel_std", "total_ops", "image_encoder.neck.0.total_params", "n_averaged",
      "model_ema.num_updates", "optimizer.state.3.exp_avg" } do
      local fate = fate_of(load(sam { name, { 1 } }), name)
      equal(fate.fate, "dead", name)
      equal(fate.why, harmless.why(name), name)
    end
  end)

  it("are let go by --ignore, which is recorded and said", function()
    local model = load(sam({ "head.a", { 3 } }, { "head.b", { 3 } }, { "loss.c", { 1 } }), { ignore = { "head.",
      "loss." } })
    equal(fate_of(model, "head.b"), { name = "head.b", shape = { 3 }, dtype = "f32", fate = "dead",
      why = "--ignore head." })
    assert(warned(model, "2 tensors are ignored (--ignore head.), the first head.a"))
    assert(warned(model, "1 tensor is ignored (--ignore loss.)"))
    local inside = load(sam { "mask_decoder.extra.weight", { 3 } }, { ignore = { "mask_decoder.extra." } })
    equal(fate_of(inside, "mask_decoder.extra.weight").fate, "dead")
  end)

  it("must be there where --ignore names them", function()
    refuses(function() load(sam(), { ignore = { "haed." } }) end, "--ignore", "haed.")
    refuses(function() load(sam(), { ignore = { "" } }) end, "--ignore", "an empty text")
    refuses(function() load(sam(), { ignore = { "image_encoder.neck." } }) end, "image_encoder.neck")
  end)

  it("make inspect say so, and what would be chosen", function()
    local text = table.concat(inspect.text((inspect.report(fake.open(sam { "head.a", { 3 } })))), "\n")
    holds(text, "1 unknown", "choose          --ignore PREFIX (if head.a beside the network is known to be of no use)")
  end)
end)

describe("wrappers", function()
  it("that all names share are taken off, whatever they are", function()
    for _, prefix in ipairs { "module.", "model.", "net.", "sam.", "_orig_mod.", "base_model.model.",
      "module.model.sam.", "student.backbone.", "x1." } do
      local model = load(fake.prefixed(sam(), prefix))
      equal({ model.dialect, model.source.prefix }, { "sam", prefix })
      equal(fate_of(model, prefix .. "image_encoder.pos_embed").fate, "used")
    end
  end)

  it("that some share are refused, by both", function()
    local list = fake.prefixed(sam(), "model.")
    list[5][1] = list[5][1]:gsub("^model%.", "")
    refuses(function() load(list) end, "fake.pth: " .. list[5][1] .. ": expected a name that begins with model.",
      "model.image_encoder.pos_embed")
    refuses(function() load(with(fake.prefixed(sam(), "model."), { "criterion.weight", { 2 } })) end,
      "criterion.weight: expected a name that begins with model.", "--ignore")
  end)

  it("leave harmless names outside alone", function()
    local model = load(with(fake.prefixed(sam(), "module."), { "n_averaged", { 1 } }, { "module.pixel_mean", { 3 } }))
    equal({ fate_of(model, "n_averaged").fate, fate_of(model, "module.pixel_mean").fate }, { "dead", "dead" })
  end)
end)

describe("two sets of weights under prefixes", function()
  local function both(first, second)
    local list = fake.prefixed(sam(), first)
    for _, one in ipairs(fake.prefixed(sam(), second)) do list[#list + 1] = one end
    return list
  end

  it("are asked about, whatever the second is called, and even where they are equal", function()
    for _, second in ipairs { "ema.", "model_ema.module.", "teacher.", "averaged_model.", "best.", "swa_model.module.",
      "q." } do
      local name = second:sub(1, -2)
      refuses(function() load(both("model.", second)) end, "holds 2 sets of weights", "model", name, "--weights-key")
      refuses(function() load(both("", second)) end, "holds 2 sets of weights", name, "--weights-key")
    end
  end)

  it("are asked about where the second is not whole", function()
    local list = fake.prefixed(sam(), "model.")
    list[#list + 1] = { "ema.mask_decoder.iou_token.weight", { 1, 32 } }
    refuses(function() load(list) end, "holds 2 sets of weights", "mask_decoder.iou_token.weight")
  end)

  it("give the chosen one, and the other is dead by name", function()
    holds(table.concat(inspect.text((inspect.report(fake.open(both("model.", "ema.")), nil, { weights_key = "ema" }))),
      "\n"), "every name begins with ema.")
    local model = load(both("model.", "ema."), { weights_key = "ema" })
    equal(model.source.prefix, "ema.")
    equal(fate_of(model, "ema.image_encoder.pos_embed").fate, "used")
    equal({ fate_of(model, "model.image_encoder.pos_embed").fate, fate_of(model, "model.image_encoder.pos_embed").why },
      { "dead", "of another set of weights: --weights-key chose ema" })
    equal(load(both("", "ema."), { weights_key = "." }).source.prefix, nil)
    equal(load(both("model.", "ema."), { ignore = { "ema." } }).source.prefix, "model.")
  end)

  it("must have the key that is asked for", function()
    refuses(function() load(both("model.", "ema."), { weights_key = "eam" }) end,
      "--weights-key: expected ema or model, found eam (did you mean ema?)")
    refuses(function() load(sam(), { weights_key = "ema" }) end, "--weights-key", "found ema")
    equal(load(sam(), { weights_key = "state_dict" }, "state_dict").dialect, "sam")
    refuses(function() load(sam(), { weights_key = "stat_dict" }, "state_dict") end, "did you mean state_dict?")
  end)
end)

describe("an option that is meant for another file", function()
  local function two_sets()
    local list = fake.prefixed(sam(), "model.")
    for _, one in ipairs(fake.prefixed(sam(), "ema.")) do list[#list + 1] = one end
    return list
  end
  local function rest() return fake.only(sam(), function(name) return not name:find "^image_encoder" end) end

  it("is no reason to refuse a checkpoint with one set of weights, whose base has two", function()
    refuses(function() load(rest(), { base = fake.open(two_sets(), "base.pth") }) end, "base.pth: holds 2 sets")
    equal(load(rest(), { base = fake.open(two_sets(), "base.pth"), weights_key = "ema" }).source.base.prefix, "ema.")
    equal(load(sam(), { weights_key = "ema", several = true }).source.prefix, nil)
    refuses(function() load(rest(), { base = fake.open(two_sets(), "base.pth"), weights_key = "eam" }) end,
      "--weights-key", "found eam")
  end)

  it("may drop what a base alone has", function()
    local base = sam { "head.weight", { 3 } }
    refuses(function() load(rest(), { base = fake.open(base, "base.pth") }) end, "base.pth: head.weight")
    equal(load(rest(), { base = fake.open(base, "base.pth"), ignore = { "head." } }).dialect, "sam")
    equal(load(sam(), { ignore = { "head." }, several = true }).dialect, "sam")
  end)
end)

-- True names of each family's files, and a shape where that tells.
local others = {
  ["SAM-Med3D"] = { { "image_encoder.patch_embed.proj.weight", { 24, 1, 16, 16, 16 } } },
  ["SAM 2 or MedSAM2 in transformers' names"] = { { "vision_encoder.backbone.blocks.0.attn.qkv.weight" } },
  ["SAM 2 or MedSAM2"] = { { "image_encoder.trunk.blocks.0.attn.qkv.weight" }, {
    "sam_mask_decoder.iou_token.weight" } },
  ["HQ-SAM"] = { { "mask_decoder.hf_token.weight" }, { "mask_decoder.compress_vit_feat.0.weight" } },
  ["EfficientViT-SAM"] = { { "image_encoder.backbone.stages.0.op_list.0.main.conv1.conv.weight" } },
  ["SAM-Adapter, with a prompt generator beside the encoder"] = { {
    "image_encoder.prompt_generator.shared_mlp.weight" }, { "mask_decoder.iou_token.weight" } },
  ["SAMUS"] = { { "image_encoder.cnn_embed.conv1.weight" }, { "image_encoder.blocks.0.attn.qkv.weight" } },
  ["SAMed's LoRA pairs"] = { { "w_a_000", { 4, 768 } }, { "w_b_000", { 768, 4 } }, {
    "mask_decoder.iou_token.weight" } },
  ["LoRA pairs of PEFT"] = { { "base_model.model.image_encoder.blocks.0.attn.qkv.lora_A.default.weight" }, {
    "base_model.model.image_encoder.blocks.0.attn.qkv.base_layer.weight" } },
  ["FastSAM or another YOLO"] = { { "model.0.conv.weight" }, { "model.22.cv2.0.0.conv.weight" } },
  ["nnU-Net"] = { { "encoder.stages.0.0.convs.0.conv.weight" }, { "decoder.seg_layers.0.weight" } },
  ["a U-Net of segmentation-models"] = { { "encoder.layer1.0.conv1.weight" }, { "decoder.blocks.0.conv1.0.weight" }, {
    "segmentation_head.0.weight" } },
  ["a diffusion model's U-Net"] = { { "down_blocks.0.resnets.0.conv1.weight" }, { "time_embedding.linear_1.weight" } },
  ["a U-Net"] = { { "inc.double_conv.0.weight" }, { "down1.maxpool_conv.1.double_conv.0.weight" }, {
    "outc.conv.weight" } },
  ["TransUNet"] = { { "transformer.embeddings.hybrid_model.root.conv.weight" } },
  ["UNETR or Swin UNETR"] = { { "swinViT.patch_embed.proj.weight" } },
  ["CLIP"] = { { "visual.transformer.resblocks.0.attn.in_proj_weight" }, { "token_embedding.weight" }, { "logit_scale",
    {} } },
  ["DINOv2"] = { { "blocks.0.ls1.gamma" }, { "cls_token", { 1, 1, 384 } }, { "blocks.0.attn.qkv.weight" } },
  ["a ViT of torchvision"] = { { "class_token", { 1, 1, 768 } }, { "encoder.layers.encoder_layer_0.ln_1.weight" } },
  ["a Swin Transformer"] = { { "layers.0.blocks.0.attn.relative_position_bias_table" } },
  ["a Vision Transformer alone (timm, MAE, DINO)"] = { { "cls_token", { 1, 1, 768 } }, { "blocks.0.attn.qkv.weight" }, {
    "patch_embed.proj.weight" } },
  ["a detector of torchvision"] = { { "backbone.body.layer1.0.conv1.weight" }, { "rpn.head.conv.0.0.weight" } },
  ["a ResNet"] = { { "conv1.weight" }, { "layer1.0.conv1.weight" }, { "fc.bias" } },
}

local function file_of(list, prefix)
  local made = {}
  for i, one in ipairs(list) do made[i] = { prefix .. one[1], one[2] or { 8, 8 } } end
  return made
end

describe("files of other networks", function()
  for _, family in ipairs(families.table) do
    it(family.name .. " is called by its name, and no base advised", function()
      local list = assert(others[family.name], "no sample of this family")
      for _, prefix in ipairs { "", "module.", "model.net." } do
        local ok, problem = pcall(load, file_of(list, prefix))
        equal(ok, false)
        holds(spec.reason(problem), "refused: fake.pth: " .. prefix, "found " .. family.name .. ", " .. family.say)
        assert(not problem.msagen:find("--base", 1, true), problem.msagen)
      end
    end)
  end

  it("are refused as a base, too", function()
    local adapters = fake.only(fake.model "msa-2023", function(name) return name:find "Adapter" end)
    local base = fake.open(file_of(others["SAMUS"], ""), "base.pth")
    refuses(function() load(adapters, { base = base }) end, "base.pth: ", "found SAMUS")
  end)

  it("are none of the dialects' own", function()
    for _, name in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
      local list = {}
      for i, one in ipairs(fake.model(name)) do list[i] = { name = one[1], shape = one[2] } end
      equal(families.of(list), nil, name)
    end
  end)
end)

describe("what a build assumes of images", function()
  it("is one line, of the dialect's fields", function()
    equal(load(sam()).preparation,
      "RGB, bilinear, longest side to 224, zero padding at the bottom and right, ImageNet's mean and deviation (as "
      .. "segment-anything)")
    equal(load(fake.model "msa-2023").preparation,
      "RGB, bilinear, squashed to 224x224, 0..255 divided by 255, no mean or deviation (as Medical SAM Adapter, May "
      .. "2023)")
    holds(load(fake.model "msa-2024", { dialect = "msa-2025" }).preparation,
      "squashed to 224x224, ImageNet's mean and deviation (as Medical SAM Adapter since 15 April 2025)")
    holds(load(fake.model "msa-paper", { resolution = 320 }).preparation, "squashed to 320x320")
    holds(import.account(fake.open(fake.model "msa-2024")).preparation,
      "(as Medical SAM Adapter, January 2024 to April 2025); or RGB", "(as Medical SAM Adapter since 15 April 2025)")
  end)

  it("is what inspect shows", function()
    holds(table.concat(inspect.text((inspect.report(fake.open(sam())))), "\n"),
      "image           RGB, bilinear, longest side to 224")
  end)
end)

describe("warnings", function()
  it("are silent where an option has answered, and else say what is assumed", function()
    local cases = {
      { "msa-2023", {}, "(row, column)", "Building for clicks as (x, y)", { click_order = "xy" }, {
        click_order = "rc" } },
      { "msa-2023", {}, "Depth_Adapter", "Building for 2-D; use --depth N", { depth = 1 } },
      { "msa-2024", { dialect = "msa-2024" }, "(row, column)", "Building for clicks", { dialect = "msa-2024",
        click_order = "rc" } },
    }
    for _, case in ipairs(cases) do
      local name, options, about, assumed = table.unpack(case)
      local model = load(fake.model(name), options)
      equal({ warned(model, about), warned(model, assumed) }, { true, true }, name)
      for i = 5, #case do equal(warned(load(fake.model(name), case[i]), about), false, name .. " with the option") end
    end
  end)

  it("say that the resolution is assumed, unless it is given", function()
    local lora = { encoder_adapters = false, depth_adapters = false, lora = 2, table_grid = 64 }
    local about = "The resolution is not in the file"
    assert(warned(load(fake.model("msa-2024", lora), { dialect = "msa-2025" }), about))
    equal(warned(load(fake.model("msa-2024", lora), { dialect = "msa-2025", resolution = 512 }), about), false)
  end)

  it("tell of another resolution than the file's", function()
    local model = load(fake.model "msa-paper", { resolution = 320 })
    assert(warned(model, "Positions are resampled from the file's resolution, 224, to 320"))
    equal(warned(load(fake.model "msa-paper", { resolution = 224 }), "resampled"), false)
  end)
end)

describe("a NaN or an infinity", function()
  local finite = require "import.finite"
  local function tensor(at, value)
    return { shape = { 2, 3 }, finite = function() return at == nil, at end, get = function() return value end }
  end
  local function model(found)
    return { source = { path = "one.pth" }, entries = { { name = "prompt_encoder.x", found = found } } }
  end

  it("is told with its file, its tensor by the file's name, and its place", function()
    local one = model { path = "base.pth", name = "module.prompt_encoder.x", shape = { 2, 3 }, tensor = tensor(4,
      0 / 0) }
    refuses(function() finite.check(one, "prompt_encoder.x") end,
      "base.pth: module.prompt_encoder.x: expected finite values, found NaN at [1,1]")
    equal(finite.located({ one }, {
      msagen = "module.prompt_encoder.x: element [1,1] is NaN; a weight must be a finite number" }).msagen,
      "base.pth: module.prompt_encoder.x: expected finite values, found NaN at [1,1]")
    refuses(function() finite.check(model { path = "a", name = "b", shape = { 2, 3 }, tensor = tensor(0, -math.huge) },
      "prompt_encoder.x") end, "found -infinity at [0,0]")
    finite.check(model { path = "a", name = "b", shape = { 2, 3 }, tensor = tensor() }, "prompt_encoder.x")
  end)

  it("has the file's name even where no tensor of it shows one", function()
    equal(finite.located({ model() }, { msagen = "w: element [0] is infinite" }).msagen,
      "one.pth: w: element [0] is infinite")
    equal(finite.located({ model() }, { msagen = "disk full" }).msagen, "disk full")
  end)
end)
