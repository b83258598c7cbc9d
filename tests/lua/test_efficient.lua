-- SPDX-License-Identifier: Apache-2.0
-- EfficientSAM: its files and those of Medical SAM Adapter on it are told apart; prompts are six places; the norm of a
-- map, interpolated pictures and bicubic logits are what their words say; builds have the interpreter's digest.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local tier = require "tier"
local sys, tensor = require "msagen.sys", require "msagen.tensor"
local import, inspect, tiny = require "import.import", require "report.inspect", require "tiny_model"
local inputs, pictures, reference = require "graph.inputs", require "emit.pictures", require "msagen.reference"
local synth = require "networks.synth"
local ops = require("graph.ops").table

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-efficient-")
sys.cleanup(work)

local function file(name) return checkpoint.open(golden .. name .. "/checkpoint.pth") end
local function account(name, options) return (import.account(file(name), options)) end

-- A file of a dialect with made-up weights. @param change function(list): what is different in it, or nil
local function made(name, dialect, shape, change)
  local list = synth.tensors(shape, dialect)
  if change then change(list) end
  local path = ("%s/%s.safetensors"):format(work, name)
  require "msagen.synth".write(path, list, 7)
  return path
end

-- Widths that divide nothing: 20 channels of the up-sampled map, 10 of the finer one.
local ODD = { resolution = 96, dim = 192, heads = 3, blocks = 2, global = {}, out = 80, decoder_mlp = 72, masks = 4 }
local ADAPTED = { resolution = 80, dim = 40, heads = 2, blocks = 2, global = {}, out = 48, decoder_mlp = 72, masks = 5 }

describe("a file with prompts of places", function()
  it("is EfficientSAM's where its encoder has fc1 and fc2", function()
    local m = account "efficient-sam-2d"
    equal({ m.dialect, m.image_size, m.grid, m.patch }, { "efficient-sam", 1024, 64, 16 })
    equal({ m.encoder.heads, m.encoder.window, m.encoder.global_list }, { 2, 0, { 0 } })
    equal({ m.places, m.decoder.activation, m.upscaling_norm, m.resampling, m.upsample, m.zero_inside },
      { 6, "gelu", "map", "sampled", "bicubic", true })
    equal(m.fates[1].why, "14x14 to 64x64, bicubic")
    refuses(function() account("efficient-sam-2d", { dialect = "sam" }) end, "found names of EfficientSAM")
    refuses(function() account("sam-2d", { dialect = "efficient-sam" }) end, "expected names of EfficientSAM")
    refuses(function() account("efficient-sam-2d", { global_blocks = { 0 } }) end, "--global-blocks: expected none")
    refuses(function() account("efficient-sam-2d", { resolution = 100 }) end, "multiple of the patch")
    refuses(function() account("efficient-sam-2d", { depth = 2 }) end, "--depth 2")
  end)

  it("is one of two of Medical SAM Adapter's where it has their names, and the tables tell its size", function()
    equal(inspect.report(file "msa-efficient-2025-2d").candidates, { "msa-efficient-2024", "msa-efficient-2025" })
    refuses(function() import.load(file "msa-efficient-2025-2d") end, "--dialect",
      "msa-efficient-2024 or msa-efficient-2025")
    local m = account("msa-efficient-2025-2d", { dialect = "msa-efficient-2025" })
    equal({ m.image_size, m.grid, m.encoder.heads, #m.encoder.global_list }, { 256, 16, 3, 3 })
    equal({ m.click_side, m.normalise.kind, m.resize, m.upsample, m.zero_inside },
      { 1024, "imagenet1_of_255", "squash", "bilinear", false })
    equal(account("msa-efficient-2025-2d", { dialect = "msa-efficient-2024" }).normalise.kind, "unit")
    refuses(function() account("msa-efficient-2025-2d", { dialect = "efficient-sam" }) end,
      "expected names of EfficientSAM, found names of Medical SAM Adapter on EfficientSAM")
  end)

  it("is asked for its size where LoRA pairs leave the tables as they were", function()
    local path = made("lora", "msa-efficient-2024", { resolution = 1024, dim = 16, heads = 2, blocks = 1, global = {},
      out = 32, decoder_mlp = 16, masks = 4 }, function(list)
        for i = #list, 1, -1 do
          if list[i].name:find "_Adapter%." then table.remove(list, i) end
        end
        for _, one in ipairs { { "lora_A", { 4, 16 } }, { "lora_B", { 32, 2 } } } do
          list[#list + 1] = { name = "image_encoder.blocks.0.attn.qkv." .. one[1], shape = one[2] }
        end
      end)
    local options = { dialect = "msa-efficient-2025" }
    refuses(function() import.load(checkpoint.open(path), options) end, "--resolution", "127 long")
    options.resolution = 256
    local m = import.load(checkpoint.open(path), options)
    equal({ m.grid, m.tensor["image_encoder.blocks.0.attn.rel_pos_h"].shape[1] }, { 16, 31 })
  end)

  it("completes adapters by themselves, which do not show whose they are", function()
    local function of(pattern)
      return function(list)
        for i = #list, 1, -1 do
          if not list[i].name:find(pattern) then table.remove(list, i) end
        end
      end
    end
    local whole = made("whole", "msa-efficient-2025", ADAPTED)
    local adapters = made("adapters", "msa-efficient-2025", ADAPTED, of "_Adapter%.")
    local m = import.account(checkpoint.open(adapters), { base = checkpoint.open(whole) })
    equal({ m.candidates, m.image_size }, { { "msa-efficient-2024", "msa-efficient-2025" }, 80 })
    refuses(function() import.account(checkpoint.open(adapters)) end, "this looks like an adapter-only file")
  end)

  it("has positions behind a class token's, of a square", function()
    local path = made("positions", "efficient-sam", ODD, function(list)
      for _, one in ipairs(list) do
        if one.name == "image_encoder.pos_embed" then one.shape[2] = 196 end
      end
    end)
    refuses(function() import.account(checkpoint.open(path)) end, "image_encoder.pos_embed is [1,196,192]",
      "expected [1,1+n^2,192]")
    local m = import.load(file "efficient-sam-2d", { resolution = 224 })
    local name = "image_encoder.pos_embed"
    local position, whole = m.tensor[name], file "efficient-sam-2d":tensor(name)
    equal(position.shape, { 1, 14, 14, 128 })
    for _, i in ipairs { 0, 57, 195 } do
      equal(position:get(0, i // 14, i % 14, 5), whole:get(0, i + 1, 5))
    end
  end)

  it("is what synth writes, in the order of the public programs' files", function()
    for _, name in ipairs { "efficient-sam-2d", "msa-efficient-2025-2d" } do
      local case = require "msagen.json".decode(sys.read_file(golden .. name .. "/case.json"), name)
      local known = file(name)
      local all, found = known:names(), synth.tensors({ resolution = case.image_size, dim = case.dim,
        heads = case.heads, blocks = #case.global > 1 and case.depth or 1, global = {}, out = case.out,
        decoder_mlp = case.dec_mlp }, case.dialect)
      equal(#found, #all)
      for i, one in ipairs(found) do
        equal({ one.name, #one.shape }, { all[i], #known:tensor(all[i]).shape })
        -- The cases have widths of their own behind the decoder's layers.
        if not one.name:find "upscaling" and not one.name:find "_mlps%." and not one.name:find "iou_pred" then
          equal(one.shape, known:tensor(one.name).shape, one.name)
        end
      end
    end
  end)
end)

describe("the norm of a map", function()
  it("is over all places and channels together", function()
    local R, list, sum = reference.of "float64", {}, 0
    for i = 1, 24 do
      list[i] = (i * 7 % 11) - 4.5
      sum = sum + list[i]
    end
    local mean, squares = sum / 24, 0
    for _, v in ipairs(list) do squares = squares + (v - mean) ^ 2 end
    local gamma, beta = { 1, 2, 3 }, { 10, 20, 30 }
    tensor.in_double(function()
      local op = { eps = 1e-5, shape = { 1, 2, 4, 3 }, shape_of = { x = { 1, 2, 4, 3 } } }
      local found = ops.mapnorm.run(R, op, { x = tensor.from(list, { 8, 3 }), gamma = tensor.from(gamma, { 3 }),
        beta = tensor.from(beta, { 3 }) }):totable()
      for i, v in ipairs(found) do
        local c = (i - 1) % 3 + 1
        local expected = (list[i] - mean) / math.sqrt(squares / 24 + 1e-5) * gamma[c] + beta[c]
        assert(math.abs(v - expected) < 1e-12, i)
      end
    end)
  end)
end)

describe("pictures and logits at another size", function()
  it("are interpolated between four pixels of floats", function()
    local at = pictures.sampled(function(x, y, c) return x + 10 * y + 100 * c end, 4, 4, 2, 8)
    -- Half the width: halfway between the second and the first of two; twice the height: a quarter and three.
    equal({ at(0, 0, 0), at(1, 1, 0), at(1, 7, 2), at(0, 2, 1) }, { 0.5, 5.0, 232.5, 108.0 })
  end)

  it("are what the resampler of positions computes, in cubic convolution", function()
    local side, list = 5, {}
    for i = 1, side * side do list[i] = (i * 13 % 17) / 4 - 2 end
    for _, to in ipairs { { 11, 8 }, { 5, 5 }, { 3, 4 } } do
      local width, height = table.unpack(to)
      local at = pictures.bicubic(function(x, y) return list[y * side + x + 1] end, side, width, height)
      local known = tensor.from(list, { 1, 1, side, side }):resample_bicubic({ height, width }):totable()
      for i = 0, width * height - 1 do
        assert(math.abs(at(i % width, i // width) - known[i + 1]) < 1e-5, ("%dx%d, %d"):format(width, height, i))
      end
    end
  end)
end)

describe("a prompt of places", function()
  local m = import.load(file "msa-efficient-2025-2d", { dialect = "msa-efficient-2025" })
  local R = reference.of "f32-fma-1"
  local rows = R.packed(require("emit.emit").tables(m).prompt.parts[1].make())
  local function tokens(prompt) return inputs.tokens(R, m, rows, 256, 256, prompt) end
  local function row(t, i) return t:slice(1, i, 1):totable() end

  it("has always six, of which the first count", function()
    local none, box = tokens {}, { 1, 2, 30, 40 }
    equal(none.shape[1], 1 + m.decoder.masks + 6)
    local points = {}
    for i = 1, 9 do points[i] = { i, 2 * i, i % 2 } end
    local many, six = tokens { points = points, box = box }, tokens { points = table.move(points, 1, 6, 1, {}) }
    equal(many:equal(six), true)
    local one = tokens { points = { points[1] }, box = box }
    equal({ row(one, 5), row(one, 9) }, { row(many, 5), row(none, 10) })
    -- The corners stand behind the points.
    equal({ row(one, 6), row(one, 7) }, { row(tokens { box = box }, 5), row(tokens { box = box }, 6) })
  end)

  it("has features alone for a click outside, at 1024 / side of its place", function()
    local inside, outside = tokens { points = { { 3, 5, 1 } } }, tokens { points = { { 3, 5, 0 } } }
    local gaussian = R.rows(rows, { 0 }):reshape { 2, m.out // 2 }
    local xy = { (3 * 4 + 0.5) / 256 * 2 - 1, (5 * 4 + 0.5) / 256 * 2 - 1 }
    local features = R.features(gaussian, tensor.from(xy, { 1, 2 }))
    equal(row(outside, 5), features:totable())
    equal(row(inside, 5), R.add(features, R.rows(rows, { 2 })):totable())
  end)
end)

describe("a build of it", function()
  if not spec.compiles() then return end
  local bytes = {}
  for i = 0, 71 * 53 * 3 - 1 do bytes[#bytes + 1] = string.char((i * i + i // 7) % 251) end
  require "msagen.npy".write(work .. "/image.npy", { dtype = "u8", shape = { 71, 53, 3 }, bytes = table.concat(bytes) })
  local shown = { "--image", work .. "/image.npy", "--point", "20,30", "--point", "9,50,0", "--box", "5,6,50,60",
    "--multimask", "--digest" }
  local natives = tiny.boards()
  local builds = { { natives[#natives], "--cores", "2", "--weights", "stream" }, { natives[1] } }
  for _, board in ipairs(tiny.emulated()) do
    if board.isa.flushes and board.hosted then builds[#builds + 1] = { board } end
  end
  if not tier.full then builds = { builds[1], tier.chosen({ table.unpack(builds, 2) }, "efficient") } end
  for _, case in ipairs { { "odd", "efficient-sam", ODD, { "--resolution", "96" } },
    { "adapted", "msa-efficient-2024", ADAPTED, { "--dialect", "msa-efficient-2024", "--click-order", "rc" } } } do
    local name, path = case[1], made(case[1], case[2], case[3])
    local function command(verb, board, ...)
      local list = { tiny.program(), verb, path, "--board", board }
      for _, words in ipairs { case[4], { ... } } do table.move(words, 1, #words, #list + 1, list) end
      return tiny.must(list)
    end
    for i, one in ipairs(builds) do
      local board = one[1]
      it(("has the interpreter's digest: %s on %s"):format(name, board.name), function()
        local dir = ("%s/%s-%d"):format(work, name, i)
        command("build", board.name, "-o", dir, table.unpack(one, 2))
        tiny.must { "make", "-C", dir, "CFLAGS=-O0 -Wall -Wextra -Werror" }
        equal(tiny.must { tiny.program(), "run", dir, table.unpack(shown) }:match "digest (%x+)",
          command("interpret", board.name, table.unpack(shown)):match "digest (%x+)")
        if not board.emulator then tiny.self_test(dir) end
        local ok, problem = pcall(tiny.must, { tiny.program(), "run", dir, "--image", work .. "/image.npy",
          "--mask-in", work .. "/image.npy" })
        assert(not ok)
        holds(problem, "--mask-in: expected none, as this model has no mask prompt")
      end)
    end
  end
end)
