-- SPDX-License-Identifier: Apache-2.0
-- TinyViT: files of MobileSAM and of Medical SAM Adapter on it are told apart; its operations compute what their words
-- say; a build of any resolution has the interpreter's digest on several boards.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local tier = require "tier"
local sys, tensor = require "msagen.sys", require "msagen.tensor"
local import, inspect, tiny = require "import.import", require "report.inspect", require "tiny_model"
local moves, reference = require "graph.moves", require "msagen.reference"
local ops = require("graph.ops").table

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-tinyvit-")
sys.cleanup(work)

local function file(name) return checkpoint.open(golden .. name .. "/checkpoint.pth") end
local function account(name, options) return (import.account(file(name), options)) end
local function fate_of(model, name)
  for _, one in ipairs(model.fates) do
    if one.name == name then return one.fate, one.why end
  end
  error("no tensor " .. name)
end

-- A file of Medical SAM Adapter on MobileSAM with AdaLoRA's tensors, as it trains them in attention and MLPs.
local function adalora(path)
  local shape = { widths = { 16, 16, 32, 32 }, depths = { 1, 1, 1, 1 }, heads = { 1, 1, 2, 2 },
    windows = { 7, 7, 14, 7 }, out = 32, decoder_mlp = 64, resolution = 64, masks = 4 }
  local list = require "networks.synth".tensors(shape, "mobile-sam")
  for i = 1, #list do
    local base = list[i].name:match "^(image_encoder%.layers%.%d%.blocks%.%d%.[%w_.]+)%.weight$"
    if base and (base:find "attn%.qkv$" or base:find "attn%.proj$" or base:find "mlp%.fc") then
      local outputs, inputs = table.unpack(list[i].shape)
      for name, size in pairs { lora_A = { 3, inputs }, lora_B = { outputs, 3 }, lora_E = { 3, 1 }, ranknum = { 1 } } do
        list[#list + 1] = { name = base .. "." .. name, shape = size }
      end
    end
  end
  require "msagen.synth".write(path, list, 5)
  return path
end

describe("AdaLoRA's tensors", function()
  local path = adalora(work .. "/adalora.safetensors")
  local options = { dialect = "msa-mobile-2025", resolution = 64 }
  local model = import.load(checkpoint.open(path), options)

  it("are folded, each of them, into all of qkv, the projection and the MLP", function()
    local folded = 0
    for _, fate in ipairs(model.fates) do
      if fate.name:find "%.lora_%u$" or fate.name:find "%.ranknum$" then
        equal(fate.fate, "folded", fate.name)
        folded = folded + 1
      end
    end
    equal(folded, 3 * 4 * 4)
  end)

  it("add B (A E) / (ranknum + 1e-5)", function()
    local file = checkpoint.open(path)
    for _, layer in ipairs { "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2" } do
      local base = "image_encoder.layers.2.blocks.0." .. layer
      local function of(name) return file:tensor(base .. "." .. name) end
      local w, a, b, e = of "weight", of "lora_A", of "lora_B", of "lora_E":totable()
      local scale = 1 / (of "ranknum":totable()[1] + 1e-5)
      local found = model.tensor[base .. ".weight"]:slice(1, 0, w.shape[1])
      for _, row in ipairs { 0, 1, w.shape[1] // 2, w.shape[1] - 1 } do
        for column = 0, w.shape[2] - 1 do
          local sum = 0
          for r = 0, 2 do sum = sum + b:get(row, r) * a:get(r, column) * e[r + 1] end
          local expected = w:get(row, column) + sum * scale
          local off = math.abs(found:get(row, column) - expected)
          assert(off <= 1e-5 * (1 + math.abs(sum * scale)), ("%s %d,%d: %g"):format(layer, row, column, off))
        end
      end
    end
  end)

  it("must fit", function()
    local lacking = {}
    for _, name in ipairs { "lora_A", "ranknum" } do
      local list = {}
      for _, key in ipairs(checkpoint.open(path):names()) do
        if key ~= "image_encoder.layers.1.blocks.0.attn.proj." .. name then
          list[#list + 1] = { name = key, shape = checkpoint.open(path):tensor(key).shape }
        end
      end
      lacking[name] = ("%s/without_%s.safetensors"):format(work, name)
      require "msagen.synth".write(lacking[name], list, 5)
      refuses(function() import.load(checkpoint.open(lacking[name]), options) end, "attn.proj." .. name)
    end
  end)
end)

describe("a file with a TinyViT", function()
  it("is MobileSAM's where it has no adapters", function()
    local m = account "mobile-sam-2d"
    equal({ m.dialect, m.image_size, m.grid, m.patch }, { "mobile-sam", 1024, 64, 16 })
    equal({ m.encoder.windows, m.encoder.heads }, { { 7, 14, 7 }, { 2, 3, 4 } })
    equal(m.encoder.depths, { [0] = 2, 1, 2, 1 })
    equal(m.encoder.grids, { [0] = 256, 128, 64, 64 })
    equal(inspect.report(file "mobile-sam-2d").dialect, "mobile-sam")
    equal(fate_of(m, "image_encoder.layers.1.blocks.0.local_conv.bn.num_batches_tracked"), "dead")
    equal({ fate_of(m, "image_encoder.patch_embed.seq.0.bn.running_var") }, { "used",
      "folded into the convolution before it" })
  end)

  it("is one of two of Medical SAM Adapter's where it has adapters or LoRA pairs, and its size is asked for", function()
    for _, name in ipairs { "msa-mobile-2025-2d", "msa-mobile-2024-2d-one-window", "msa-mobile-2025-2d-lora" } do
      equal(inspect.report(file(name)).candidates, { "msa-mobile-2024", "msa-mobile-2025" })
    end
    refuses(function() import.load(file "msa-mobile-2025-2d", { dialect = "msa-mobile-2025" }) end, "--resolution",
      "nothing in the file tells the size")
    refuses(function() account("msa-mobile-2025-2d", { dialect = "mobile-sam" }) end, "no encoder adapters")
    equal(account("mobile-sam-2d", { dialect = "msa-mobile-2025", resolution = 64 }).dialect, "msa-mobile-2025")
    refuses(function() account("mobile-sam-2d", { dialect = "sam" }) end, "expected SAM's names",
      "found names of a TinyViT")
  end)

  it("has a ViT in its place where the names say so, and then a size of its own", function()
    local m = account("msa-mobile-2025-2d-vit", { dialect = "msa-mobile-2025" })
    equal({ m.dialect, m.encoder.kind, m.image_size, m.pad, m.mask_rule }, { "msa-mobile-2025", "vit", 128,
      "norm1_bias", "multimask" })
    equal(inspect.report(file "msa-mobile-2025-2d-vit").candidates, { "msa-mobile-2024", "msa-mobile-2025" })
    refuses(function() account("msa-2025-2d", { dialect = "msa-mobile-2025" }) end, "--dialect msa-mobile-2025")
  end)

  it("has no adapter of attention in a stage that is one window", function()
    local name = "image_encoder.layers.2.blocks.0.Space_Adapter.D_fc1.weight"
    local m = account("msa-mobile-2024-2d-one-window", { dialect = "msa-mobile-2024", resolution = 160 })
    equal({ fate_of(m, name) }, { "dead", "the stage is one window" })
    equal(fate_of(m, name:gsub("layers.2", "layers.1")), "used")
    equal(fate_of(account("msa-mobile-2024-2d-one-window", { dialect = "msa-mobile-2024", resolution = 96 }), name),
      "used")
  end)

  it("is built for multiples of 16 pixels", function()
    for _, size in ipairs { 0, 8, 100, 16400 } do
      refuses(function() account("mobile-sam-2d", { resolution = size }) end, "--resolution " .. size,
        "multiple of 16 up to 16384")
    end
  end)
end)

-- An image [1,h,w,c] of small whole numbers as a matrix, and what it has at a place: 0 beyond its edge.
local function image(h, w, c)
  local list = {}
  for i = 1, h * w * c do list[i] = (i * 7 + i // 5) % 11 - 5 end
  return tensor.from(list, { h * w, c }), function(y, x, k)
    if y < 0 or x < 0 or y >= h or x >= w then return 0 end
    return list[(y * w + x) * c + k + 1]
  end
end

describe("operations of images", function()
  local R = reference.of "f32-fma-1"
  for _, case in ipairs { { 5, 7, 3, 3, 1 }, { 6, 4, 2, 3, 2 }, { 5, 5, 4, 3, 2 }, { 3, 3, 5, 1, 1 },
    { 1, 2, 3, 3, 1 } } do
    local h, w, c, side, stride = table.unpack(case)
    local x, at = image(h, w, c)
    local op = { side = side, stride = stride, shape_of = { x = { 1, h, w, c } } }
    local out_h, out_w = (h - 1) // stride + 1, (w - 1) // stride + 1

    it(("unfold %dx%d by %d of %dx%d"):format(h, w, stride, side, side), function()
      equal(ops.unfold.shape(op, { x = { shape = { 1, h, w, c } } }), { 1, out_h, out_w, side * side * c })
      local found, i = ops.unfold.run(R, op, { x = x }):totable(), 0
      for y = 0, out_h - 1 do
        for xx = 0, out_w - 1 do
          for tap = 0, side * side - 1 do
            for k = 0, c - 1 do
              i = i + 1
              equal(found[i], at(y * stride + tap // side - side // 2, xx * stride + tap % side - side // 2, k) + 0.0)
            end
          end
        end
      end
      equal(#found, i)
    end)

    it(("convolve each channel of %dx%d by %d of %dx%d"):format(h, w, stride, side, side), function()
      op.shape = { 1, out_h, out_w, c }
      local weights, bias = {}, {}
      for i = 1, c * side * side do weights[i] = i % 5 - 2 end
      for k = 1, c do bias[k] = 10 * k end
      local found = ops.depthwise_conv.run(R, op, { x = x, w = tensor.from(weights, { c, side * side }),
        bias = tensor.from(bias, { c }) }):totable()
      for y = 0, out_h - 1 do
        for xx = 0, out_w - 1 do
          for k = 0, c - 1 do
            local sum = bias[k + 1]
            for tap = 0, side * side - 1 do
              sum = sum + weights[k * side * side + tap + 1] * at(y * stride + tap // side - side // 2,
                xx * stride + tap % side - side // 2, k)
            end
            equal(found[(y * out_w + xx) * c + k + 1], sum + 0.0)
          end
        end
      end
    end)
  end

  it("take windows whole, and bring each place back", function()
    for _, case in ipairs { { 1, 6, 3 }, { 2, 5, 3 }, { 1, 2, 7 } } do
      local n, grid, side = table.unpack(case)
      local index, back = moves.whole_windows(n, grid, side)
      local across, inside = (grid + side - 1) // side, 0
      equal({ #index, #back }, { n * across * across * side * side, n * grid * grid })
      for token, row in ipairs(back) do equal(index[row + 1], token - 1) end
      for _, token in ipairs(index) do inside = inside + (token < n * grid * grid and 1 or 0) end
      equal(inside, n * grid * grid)
    end
  end)
end)

describe("a build of it", function()
  local path = golden .. "msa-mobile-2025-2d/checkpoint.pth"
  local options = { "--dialect", "msa-mobile-2025", "--resolution", "96" }
  local bytes = {}
  for i = 0, 71 * 53 * 3 - 1 do bytes[#bytes + 1] = string.char((i * i + i // 7) % 251) end
  require "msagen.npy".write(work .. "/image.npy", { dtype = "u8", shape = { 71, 53, 3 }, bytes = table.concat(bytes) })
  local shown = { "--image", work .. "/image.npy", "--point", "20,30", "--digest" }
  local function command(verb, ...)
    local list = { tiny.program(), verb, ... }
    return tiny.must(table.move(options, 1, #options, #list + 1, list))
  end
  local function interpreted(board)
    return command("interpret", path, "--board", board, table.unpack(shown)):match "digest (%x+)"
  end
  if not spec.compiles() then return end
  local natives = tiny.boards()
  local chosen = { { natives[#natives], "--cores", "3", "--weights", "stream" }, { natives[1] } }
  for _, board in ipairs(tiny.emulated()) do
    if board.isa.flushes and board.hosted then chosen[#chosen + 1] = { board } end
  end
  if not tier.full then chosen = { chosen[1], tier.chosen({ table.unpack(chosen, 2) }, "tinyvit") } end
  for _, one in ipairs(chosen) do
    it("has the interpreter's digest on " .. one[1].name, function()
      local dir = work .. "/" .. one[1].name
      command("build", path, "--board", one[1].name, "-o", dir, table.unpack(one, 2))
      tiny.must { "make", "-C", dir, "CFLAGS=-O0 -Wall -Wextra -Werror" }
      equal(tiny.must { tiny.program(), "run", dir, table.unpack(shown) }:match "digest (%x+)",
        interpreted(one[1].name))
      if not one[1].emulator then tiny.self_test(dir) end
    end)
  end
end)
