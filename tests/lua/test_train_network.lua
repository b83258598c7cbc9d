-- SPDX-License-Identifier: Apache-2.0
-- Networks that are trained: what trains of each dialect; the graph of a network in training has the bits of inference,
-- and gradients for all that trains; files without adapters get them.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local sys, json, tensor = require "msagen.sys", require "msagen.json", require "msagen.tensor"
local dialects, import, inputs = require "import.dialects", require "import.import", require "graph.inputs"
local interpretation, interpreter, made, names = require "run.interpretation", require "graph.interpreter",
  require "train.made", require "import.names"
local network, sam, sets, synth = require "train.network", require "networks.sam", require "train.sets",
  require "networks.synth"
local models = require "train_models"
local sizes, tokens = require "graph.kinds", require "networks.tokens"

local tests = arg[0]:match("^(.*)/[^/]*$") .. "/../"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-network-")
sys.cleanup(work)

-- ---- models ----

local VIT = models.VIT
local function file_of(dialect) return models.file(work, dialect) end
local function model_of(dialect) return models.of(work, dialect) end

local function case_of(name)
  local folder = ("%sgolden-train/%s/"):format(tests, name)
  return json.decode(sys.read_file(folder .. "case.json"), name), folder
end

local function model_of_case(name)
  local case, folder = case_of(name)
  return import.load(checkpoint.open(folder .. "checkpoint.pth"), { dialect = case.dialect,
    resolution = case.image_size, depth = case.slices, chunk = case.thd and case.chunk or nil }), case
end

-- ---- what trains ----

describe("what trains", function()
  for name, wanted in pairs { ["msa-2023-2d"] = false, ["msa-2025-2d"] = false, ["msa-2025-2d-lora"] = false,
    ["msa-2023-3d"] = false, ["msa-paper-2d"] = false, ["sam-2d-loss"] = "decoder" } do
    it("is what the program trains: " .. name, function()
      local model, case = model_of_case(name)
      local to_sam, expected = names.speller(dialects.named(case.dialect).spelling), {}
      for _, one in ipairs(case.tensors) do expected[to_sam(one.name)] = true end
      for _, list in ipairs { case.trainable_with_zero_gradient, case.trainable_without_gradient } do
        for _, one in ipairs(list) do expected[to_sam(one)] = true end
      end
      local list, set = sets.of(model, wanted or nil, "--train")
      equal(set, expected)
      for i = 2, #list do assert(list[i] ~= list[i - 1]) end
    end)
  end

  it("is said of every dialect, by names of sets", function()
    for _, dialect in ipairs(dialects.all()) do
      assert(dialect.training.trained and #dialect.training.trained > 0, dialect.name)
      for _, name in ipairs(dialect.training.trained) do assert(sets.table[name], dialect.name) end
    end
  end)

  it("may be said by sets, tensors and patterns", function()
    local model = model_of "sam"
    local one = sets.of(model, "mask_decoder.iou_token.weight", "--train")
    equal(one, { "mask_decoder.iou_token.weight" })
    equal(sets.of(model, { "mask_decoder%.%l+_tokens?%.weight" }, "--train"),
      { "mask_decoder.iou_token.weight", "mask_decoder.mask_tokens.weight" })
    local all, encoder, decoder = sets.of(model, "everything", "t"), sets.of(model, "encoder", "t"),
      sets.of(model, "decoder", "t")
    equal(#all, #encoder + #decoder)
    equal(sets.of(model, { "decoder", "encoder", "mask_decoder%..*" }, "t"), all)
    for _, name in ipairs(all) do assert(not name:find "gaussian", name) end
  end)

  it("refuses what is none", function()
    local model = model_of "sam"
    refuses(function() sets.of(model, "adaptors", "--train") end, "--train: expected adapters, decoder", "adaptors",
      "did you mean adapters?")
    refuses(function() sets.of(model, "mask_decoder.iou_tokn.weight", "--train") end, "found mask_decoder.iou_tokn",
      "did you mean mask_decoder.iou_token.weight?")
    refuses(function() sets.of(model, "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "x") end, "fixed")
    refuses(function() sets.of(model, "mask_decoder.[", "--train") end, "--train: expected a set, a tensor or a")
    refuses(function() sets.of(model, { 7 }, "--train") end, "found number")
    refuses(function() sets.of(model, {}, "--train") end, "--train: expected tensors to train, found none")
  end)
end)

-- ---- the graph ----

local PROMPTS = { { points = { { 20, 30, 1 }, { 7, 9, 0 } }, multimask = true },
  { points = { { 3, 4, 1 } }, box = { 2, 3, 30, 35 } } }

-- Embedding, logits and scores of the graph that trains, of token rows as many as there may be.
local function trained(it_, graph, prompt, picture)
  local m, R, side = it_.model, it_.R, it_.model.image_size
  local bytes = picture:tobytes()
  local image = inputs.image(m, side, side, function(slice, x, y, c)
    return bytes:byte(((slice * side + y) * side + x) * 3 + c + 1)
  end)
  local gaussian = R.packed(m.tensor["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"])
    :reshape { 2, m.out // 2 }
  local embedding = interpreter.run(R, graph, { image = image }, { "embedding" }).embedding
  local features, index, count = inputs.embedded(R, m, gaussian, #sam.prompts(m).rows - 3, tokens.rows(m), side, side,
    prompt)
  local out = interpreter.run(R, graph, { embedding = embedding:slice(1, 0, m.grid * m.grid), token_features = features,
    token_index = index }, { "logits", "scores" }, nil, { count = count })
  return embedding, out.logits, out.scores
end

local function largest(a, b)
  local x, y, most, scale = a:totable(), b:totable(), 0, 0
  for i = 1, #x do
    most, scale = math.max(most, math.abs(x[i] - y[i])), math.max(scale, math.abs(x[i]))
  end
  return most / scale
end

-- The graph of some trained tensors beside inference's: how far embedding and logits are apart, of their scale.
local function apart(model, wanted)
  local it_, picture = interpretation.of(model, "f32-fma-1"), models.picture(model)
  local net = network.of(model, sets.of(model, wanted, "--train"))
  local embedding, most, same = it_:encode(picture), 0, true
  for _, prompt in ipairs(PROMPTS) do
    if not (model.places and prompt.box) then
      local logits, scores = it_:decode(0, prompt)
      local first, count = interpretation.chosen(model, prompt)
      local a, b, c = trained(it_, net.graph, prompt, picture)
      b, c = b:reshape { model.decoder.masks, logits.shape[2] }:slice(1, first, count), c:slice(2, first, count)
      same = same and embedding:equal(a) and logits:equal(b) and scores:equal(c)
      most = math.max(most, largest(embedding, a), largest(logits, b))
    end
  end
  return same, most, net
end

describe("the graph of a network in training", function()
  for _, dialect in ipairs(synth.dialect_names) do
    it("has the bits of inference, and a gradient for all that trains: " .. dialect, function()
      local model = model_of(dialect)
      local default = sets.default(model)
      -- What convolutions with batch norms and padding of windows are made of is computed in double by builds.
      local exact = not (default[1] == "everything" and model.encoder.kind == "tinyvit" or default[1] == "encoder"
        and model.encoder.kind == "tinyvit")
      local same, most, net = apart(model, nil)
      if exact then assert(same, ("%.3g"):format(most)) else assert(most < 1e-4, most) end
      for _, name in ipairs(net.without) do assert(name:find "Adapter" or name:find "decoder", name) end
      assert(#net.parameters > 0)
    end)
  end

  for _, dialect in ipairs { "sam", "msa-2023", "msa-2025", "msa-paper" } do
    it("comes near to inference where everything trains: " .. dialect, function()
      local same, most, net = apart(model_of(dialect), "everything")
      equal(same, dialect == "sam") -- padding of zeros is the bias alone
      assert(most < 1e-5, most)
      local floats = 0
      for _, one in ipairs(net.parameters) do
        equal(one.offset, floats)
        floats = floats + one.count
        equal(net.graph.outputs[network.gradient(one.name)].shape, one.shape)
        equal(one.count, sizes.product(one.shape))
      end
      equal(net.floats, floats)
    end)
  end

  it("leaves out gradients that nothing asks for", function()
    local model = model_of "msa-2023"
    local net = network.of(model, sets.of(model, "masks", "--train"))
    equal({ net.encodes, net.graph.outputs.dembedding }, { false })
    for _, op in ipairs(net.graph.values) do
      assert(not (op.label or ""):find "^block_.*_backward", op.label)
    end
    local list = sets.of(model, "masks", "--train")
    local without = network.of(model, list, { scores = false }).without
    equal(#without, 2 * 3) -- layers of the perceptron of scores
    for _, name in ipairs(without) do holds(name, "iou_prediction_head") end
    refuses(function() network.of(model, { "image_encoder.blocks.0.attn.qkv.lora_E" }) end, "AdaLoRA")
  end)

  it("has LoRA pairs unmerged where they train, and merged where they do not", function()
    local model = model_of_case "msa-2025-2d-lora"
    local function count(wanted)
      local n = 0
      for _, op in ipairs(network.of(model, sets.of(model, wanted, "t")).graph.values) do
        if op.kind == "parameter" and op.name:find "%.lora_[AB]$" then n = n + 1 end
      end
      return n
    end
    equal({ count(nil), count "masks" }, { 2 * 3 * 3, 0 })
    local same = apart(model, "masks")
    assert(same)
    local _, most = apart(model, nil)
    assert(most > 0 and most < 1e-5, most)
  end)
end)

-- ---- parts that begin anew ----

describe("parts that begin anew", function()
  local path = work .. "/again.safetensors"
  require "msagen.synth".write(path, synth.tensors(VIT, "msa-paper"), 7)
  local function of(more)
    local options = { dialect = "msa-paper", resolution = 48 }
    for key, value in pairs(more) do options[key] = value end
    return made.model(checkpoint.open(path), options)
  end
  local function value(model, name) return model.tensor[name] or model.unfolded[name] end

  it("are those that were asked for, and begin as PyTorch begins them", function()
    local as_it_is, none = of {}
    local model, list, whole = of { anew = { "adapters", "image_encoder%.pos_embed" } }
    local _, set = sets.of(model, { "adapters", "image_encoder%.pos_embed" }, "t")
    equal({ #none, #list }, { 0, #sets.of(model, { "adapters", "image_encoder%.pos_embed" }, "t") })
    for _, entry in ipairs(model.entries) do
      if entry.found then
        local mine = whole:tensor(entry.found.name)
        equal(mine:equal(checkpoint.open(path):tensor(entry.found.name)), not set[entry.name], entry.name)
        local norm = entry.name:find "norm" or entry.name:find "output_upscaling%.1"
        if set[entry.name] and norm then
          local flat = mine:reshape { mine:numel() }:totable()
          for _, v in ipairs(flat) do equal(v, entry.name:find "weight$" and 1.0 or 0.0) end
        end
      end
    end
    assert(value(model, "image_encoder.pos_embed"):is_zero(), "positions begin at 0")
    local fc = "image_encoder.blocks.0.attn.proj.weight"
    assert(value(model, fc):equal(value(as_it_is, fc)), "the backbone stays")
    local tokens, sum = whole:tensor "mask_decoder.mask_tokens.weight", 0
    for _, v in ipairs(tokens:reshape { tokens:numel() }:totable()) do sum = sum + v * v end
    assert(math.abs(sum / tokens:numel() - 1) < 0.3, "rows of a table are normal numbers")
    local up = whole:tensor "mask_decoder.output_upscaling.0.weight"
    local most, bound = 0, 1 / math.sqrt(up.shape[2] * 4)
    for _, v in ipairs(up:reshape { up:numel() }:totable()) do most = math.max(most, math.abs(v)) end
    assert(most <= bound and most > 0.9 * bound, ("%g of %g"):format(most, bound))
  end)

  it("have nothing of what the file had: another file gives the same", function()
    local other = work .. "/other.safetensors"
    require "msagen.synth".write(other, synth.tensors(VIT, "msa-paper"), 8)
    local _, list, a = of { anew = { "adapters" }, init = "identity" }
    local _, _, b = made.model(checkpoint.open(other), { dialect = "msa-paper", resolution = 48, anew = { "adapters" },
      init = "identity" })
    for _, name in ipairs(list) do assert(a:tensor(name):equal(b:tensor(name)), name) end
    assert(a:sha256() ~= b:sha256(), "the backbone's hash tells the files apart")
    local _, _, c = of { anew = { "adapters" }, init = "identity", seed = 1 }
    local name = "mask_decoder.iou_token.weight"
    equal(a:sha256(), c:sha256(), "what is made anew does not count as the base's")
    assert(not a:tensor(name):equal(c:tensor(name)), "another seed gives the same")
    assert(a:tensor "image_encoder.blocks.0.MLP_Adapter.D_fc2.weight":is_zero())
  end)

  it("are in a file of what trained, whether they trained or not", function()
    local model, list = of { anew = { "masks" } }
    local trained = sets.of(model, "paper", "t")
    local nothing = { parameters = {}, values = function() return tensor.zeros { 1 } end }
    local written = require("train.exported").of(model, trained, true, list)(nothing)
    equal(#written, #list)
  end)

  it("are refused where nothing has such a name", function()
    refuses(function() of { anew = { "decodr" } } end, "--anew: expected", "did you mean decoder?")
  end)
end)

-- ---- files without adapters ----

describe("a file without adapters", function()
  local function file() return checkpoint.open((file_of "sam")) end

  local function values_of(model, name) return model.tensor[name] or model.unfolded[name] end

  for dialect, count in pairs { ["msa-2023"] = 2 * 8, ["msa-paper"] = 2 * 8 + 14 } do
    it("gets those of a dialect: " .. dialect, function()
      local model, list = made.model(file(), { dialect = dialect })
      equal({ #list, model.dialect }, { count, dialect })
      for _, name in ipairs(list) do
        local t, most = values_of(model, name), 0
        local inputs_of = values_of(model, (name:gsub("%.bias$", ".weight"))).shape[2]
        for _, v in ipairs(t:reshape { t:numel() }:totable()) do most = math.max(most, math.abs(v)) end
        local bound = 1 / math.sqrt(inputs_of)
        assert(most <= bound and most > 0.6 * bound, ("%s: %g of %g"):format(name, most, bound))
      end
      equal(#network.of(model, sets.of(model, nil, "t")).without, 0)
    end)
  end

  it("gets adapters of the depth where it is of volumes", function()
    local flat, list = made.model(file(), { dialect = "msa-2023", depth = 1 })
    local deep, longer = made.model(file(), { dialect = "msa-2023", depth = 4 })
    equal({ #longer - #list, flat.depth, deep.depth }, { 2 * 4, 1, 4 })
    local name = "image_encoder.blocks.1.Space_Adapter.D_fc1.weight"
    assert(flat.tensor[name]:equal(deep.tensor[name]), "the other tensors' numbers changed")
  end)

  it("has the same numbers wherever they are made, and others of another seed", function()
    local function text(seed, name)
      local model = made.model(file(), { dialect = "msa-paper", seed = seed })
      return values_of(model, name):tobytes()
    end
    local a, b = "image_encoder.blocks.0.MLP_Adapter.D_fc1.weight", "image_encoder.blocks.0.MLP_Adapter.D_fc1.bias"
    equal(text(0, a), text(0, a))
    assert(text(0, a) ~= text(1, a))
    assert(text(0, a):sub(1, 8) ~= text(0, b):sub(1, 8))
    local random, sha256 = require "msagen.random", require "msagen.sha256"
    local key = random.key(5, math.tointeger(tonumber("0x" .. sha256.hex(a):sub(1, 16))))
    equal(text(5, a):sub(5, 8), string.pack("<f", (2 * random.unit(key, 1) - 1) / 8)) -- of 64 inputs
    equal(sha256.hex(text(5, a)), "03c468ad57af600d05a284ab225f10bf852c77f6d7ba3b98b3495d47babfc0d8")
  end)

  it("gives the network's own results at first where adapters begin as identity", function()
    -- Windows that divide the grid: dialects differ in what fills them.
    local shape = { window = 3 }
    for key, value in pairs(VIT) do shape[key] = shape[key] or value end
    local path = work .. "/whole.safetensors"
    require "msagen.synth".write(path, synth.tensors(shape, "sam"), 7)
    local picture = models.picture { image_size = 48, depth = 1 }
    local function embedding(model) return interpretation.of(model, "f32-fma-1"):encode(picture) end
    local plain = embedding(import.load(checkpoint.open(path), { dialect = "sam" }))
    local same = made.model(checkpoint.open(path), { dialect = "msa-paper", init = "identity" })
    local noise = made.model(checkpoint.open(path), { dialect = "msa-paper" })
    assert(plain:equal(embedding(same)))
    assert(largest(plain, embedding(noise)) > 0.01)
  end)

  it("gets LoRA pairs that add nothing at first", function()
    local model, list = made.model(checkpoint.open((file_of "msa-2024")), { dialect = "msa-2024", resolution = 48 })
    equal(#list, 0) -- it has adapters
    local sam_file = work .. "/late.safetensors"
    local late = synth.tensors(VIT, "msa-2024")
    for i = #late, 1, -1 do
      if late[i].name:find "Adapter" then table.remove(late, i) end
    end
    require "msagen.synth".write(sam_file, late, 7)
    model, list = made.model(checkpoint.open(sam_file), { dialect = "msa-2025", lora = 2, resolution = 48 })
    equal({ #list, sets.default(model) }, { 2 * 3 * 2, { "lora" } })
    equal(model.unfolded["image_encoder.blocks.0.attn.qkv.lora_A"].shape, { 4, 64 })
    equal(model.unfolded["image_encoder.blocks.0.attn.qkv.lora_B"].shape, { 128, 2 })
    for _, name in ipairs(list) do equal(model.unfolded[name]:is_zero(), name:find "lora_B$" ~= nil) end
  end)

  it("is refused where it cannot be", function()
    local function refused(path, options, ...)
      local pieces = { ... }
      refuses(function() made.model(checkpoint.open(path), options) end, table.unpack(pieces))
    end
    local plain, adapted, tiny = (file_of "sam"), (file_of "msa-2023"), (file_of "mobile-sam")
    refused(plain, { dialect = "msa-papers" }, "--dialect", "did you mean msa-paper?")
    refused(plain, { dialect = "msa-paper", lora = 4 }, "--lora: expected with --dialect msa-2024", "msa-paper")
    refused(plain, { dialect = "msa-2025", lora = 0 }, "--lora: expected a rank from 1", "found 0")
    refused(plain, { dialect = "msa-paper", init = "noise" }, "--init: expected program or identity, found noise")
    refused(tiny, { dialect = "msa-paper" }, "the same encoder", "found one of mobile-sam")
    refused(adapted, { dialect = "msa-2025", lora = 2 }, "--lora 2: expected a file without adapters", "found adapters")
    refused(plain, { dialect = "msa-efficient-2025" }, "the same encoder and prompts")
    local cut = synth.tensors(VIT, "sam")
    table.remove(cut, 1)
    local path = work .. "/cut.safetensors"
    require "msagen.synth".write(path, cut, 7)
    refused(path, { dialect = "msa-paper" }, "expected in the file, as training of msa-paper begins with it")
  end)
end)
