-- SPDX-License-Identifier: Apache-2.0
-- Import of real files: the golden checkpoints are what their case.json says, and folding and resampling compute what
-- they should.

local spec = require "spec"
local fake = require "fake_checkpoint"
local import = require "import.import"
local inspect = require "report.inspect"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

local checkpoint = spec.host "msagen.checkpoint"
local tensor = spec.host "msagen.tensor"
if not checkpoint or not tensor then return end
local json = require "msagen.json"
local sys = require "msagen.sys"

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden"

local function cases()
  local list = {}
  for _, name in ipairs(sys.list(golden)) do
    local folder = golden .. "/" .. name
    local case = sys.exists(folder .. "/checkpoint.pth")
      and json.decode(sys.read_file(folder .. "/case.json"), "case.json")
    if case and not case.encoder then -- of a ViT
      list[#list + 1] = { name = name, file = folder .. "/checkpoint.pth", case = case }
    end
  end
  assert(#list >= 8, "golden cases are missing")
  return list
end

describe("golden checkpoints", function()
  for _, one in ipairs(cases()) do
    local case = one.case
    local late = case.dialect == "msa-2024" or case.dialect == "msa-2025"

    it(one.name .. " has the shapes of its case", function()
      -- A LoRA file does not hold its resolution.
      local resolution = case.mod == "sam_lora" and case.image_size or nil
      local m = import.load(checkpoint.open(one.file),
        { dialect = case.dialect, classes = late and case.multimask or nil, resolution = resolution })
      equal({ m.dialect, m.image_size, m.patch, m.encoder.blocks, m.encoder.dim, m.encoder.heads, m.encoder.window,
        m.out, m.decoder.mlp,
        m.decoder.heads },
        { case.dialect, case.image_size, case.patch, case.depth, case.dim, case.heads, case.window, case.out,
          case.dec_mlp, case.dec_heads })
      equal(m.encoder.global_list, case.global)
      equal(m.normalise.kind, case.normalise)
      equal(m.classes, case.multimask)
      equal(#m.source.sha256, 64)
      local grid = case.image_size // case.patch
      equal(m.tensor["image_encoder.pos_embed"].shape, { 1, grid, grid, case.dim })
      for name, t in pairs(m.tensor) do assert(t:finite(), name) end
    end)

    it(one.name .. " is named by inspect, or left open", function()
      local report = inspect.report(checkpoint.open(one.file))
      local alike = late and { "msa-2024", "msa-2025" } or case.dialect == "sam" and { "sam", "medsam" }
      if alike then
        equal({ report.dialect, report.candidates }, { nil, alike })
        refuses(function() import.load(checkpoint.open(one.file)) end, "--dialect")
      else
        equal(report.dialect, case.dialect)
      end
    end)
  end
end)

-- A fake checkpoint whose tensors hold numbers: a fixed sequence, or what `values` gives for a name.
local function filled(list, values)
  local ckpt = fake.open(list)
  local seed = 1
  local made = {}
  for _, one in ipairs(list) do
    local n, numbers = 1, {}
    for _, size in ipairs(one[2]) do n = n * size end
    for i = 1, n do
      seed = seed * 48271 % 2147483647
      numbers[i] = (seed % 2001 - 1000) / 1024
    end
    if values[one[1]] then numbers = values[one[1]] end
    made[one[1]] = tensor.from(numbers, one[2]):rename(one[1])
  end
  function ckpt.tensor(_, name) return made[name] end
  return ckpt
end

describe("LoRA", function()
  local shape = { dim = 8, heads = 2, blocks = 2, global = { 1 }, out = 16, decoder_mlp = 8, lora = 4, table_grid = 64,
    encoder_adapters = false, window = 3 }
  local list = fake.model("msa-2024", shape)
  local ckpt = filled(list, {})
  local model = import.load(ckpt, { dialect = "msa-2025", resolution = 96 })

  local function product(b, a, rank, row, column, b_column, a_row)
    local sum = 0
    for r = 0, rank - 1 do sum = sum + b:get(row, b_column + r) * a:get(a_row + r, column) end
    return sum / rank
  end

  local function close(found, expected, what)
    if not (math.abs(found - expected) <= 1e-6 * math.max(1, math.abs(expected))) then
      error(("%s: expected %.9g, found %.9g"):format(what, expected, found))
    end
  end

  it("adds B*A/r to the weights of the MLP", function()
    for _, name in ipairs { "mlp.lin1", "mlp.lin2" } do
      local at = "image_encoder.blocks.1." .. name
      local a, b, before = ckpt:tensor(at .. ".lora_A"), ckpt:tensor(at .. ".lora_B"), ckpt:tensor(at .. ".weight")
      local after = model.tensor[at .. ".weight"]
      equal(after.shape, before.shape)
      equal(after.name, at .. ".weight")
      for row = 0, before.shape[1] - 1 do
        for column = 0, before.shape[2] - 1 do
          close(after:get(row, column), before:get(row, column) + product(b, a, 4, row, column, 0, 0), at)
        end
      end
    end
  end)

  it("adds to the rows of q and v, and leaves k as it is", function()
    local at = "image_encoder.blocks.0.attn.qkv"
    local a, b, before = ckpt:tensor(at .. ".lora_A"), ckpt:tensor(at .. ".lora_B"), ckpt:tensor(at .. ".weight")
    local after = model.tensor[at .. ".weight"]
    for row = 0, 7 do
      for column = 0, 7 do
        close(after:get(row, column), before:get(row, column) + product(b, a, 4, row, column, 0, 0), "q")
        equal(after:get(8 + row, column), before:get(8 + row, column), "k")
        close(after:get(16 + row, column), before:get(16 + row, column) + product(b, a, 4, 8 + row, column, 0, 4), "v")
      end
    end
  end)

  it("leaves no pair in the model", function()
    for name in pairs(model.tensor) do assert(not name:find "lora", name) end
  end)

  it("is folded when it is read, not before: rows alone, a whole, and through a view are the same numbers", function()
    local at = "image_encoder.blocks.0.attn.qkv"
    local lazy = model.tensor[at .. ".weight"]
    equal(type(lazy), "table")
    equal({ lazy.shape, lazy:numel(), lazy.dtype, lazy.name }, { { 24, 8 }, 192, "f32", at .. ".weight" })
    local whole = lazy:reshape { 24, 8 }
    equal(whole:equal(lazy:value()), true)
    for _, part in ipairs { { 0, 8 }, { 8, 8 }, { 16, 8 }, { 3, 2 }, { 10, 5 }, { 6, 12 }, { 0, 24 }, { 23, 1 } } do
      local first, count = table.unpack(part)
      local rows = lazy:slice(1, first, count)
      equal(rows.name, at .. ".weight")
      equal(rows:totable(), whole:slice(1, first, count):totable(), ("rows %d to %d"):format(first, first + count - 1))
    end
    equal(lazy:slice(2, 3, 2):totable(), whole:slice(2, 3, 2):totable())
    equal(lazy:transpose():totable(), whole:transpose():totable())
    -- Tensors that cannot be computed with load all the same.
    equal(import.load(fake.open(list), { dialect = "msa-2025" }).tensor[at .. ".weight"].shape, { 24, 8 })
  end)

  it("needs both halves of a pair, of one rank", function()
    local function broken(change)
      local other = fake.model("msa-2024", shape)
      change(other)
      return function() import.load(fake.open(other), { dialect = "msa-2025" }) end
    end
    refuses(broken(function(other)
      fake.remove(other, "image_encoder.blocks.1.mlp.lin2.lora_A")
    end), "image_encoder.blocks.1.mlp.lin2.lora_A")
    refuses(broken(function(other) fake.find(other, "image_encoder.blocks.1.mlp.lin2.lora_A")[2] = { 5, 32 } end),
      "image_encoder.blocks.1.mlp.lin2.lora_A is [5,32]; expected [4,32] (rank = 4, from "
      .. "image_encoder.blocks.1.mlp.lin2.lora_B")
    refuses(broken(function(other)
      fake.find(other, "image_encoder.blocks.1.attn.qkv.lora_A")[2] = { 4, 8 }
    end), "expected [8,8]")
    refuses(broken(function(other)
      other[#other + 1] = { "image_encoder.blocks.0.attn.proj.lora_A", { 4, 8 } }
    end), "attn.proj.lora_A: unknown")
  end)
end)

describe("positions", function()
  it("of 64x64 go to the grid with the grid's axes, not the channels', resampled", function()
    local list = fake.model("msa-2024", { dim = 4, heads = 1, out = 16, grid = 32, window = 7, blocks = 2,
      global = { 1 } })
    local ramp = {}
    for y = 0, 63 do
      for x = 0, 63 do
        for c = 0, 3 do ramp[#ramp + 1] = y + x / 64 + 100 * c end
      end
    end
    local model = import.load(filled(list, { ["image_encoder.pos_embed"] = ramp }), { dialect = "msa-2024" })
    local position = model.tensor["image_encoder.pos_embed"]
    equal(position.shape, { 1, 32, 32, 4 })
    for _, at in ipairs { { 5, 9, 0 }, { 16, 16, 3 }, { 25, 4, 1 } } do
      local y, x, c = table.unpack(at)
      local expected = (2 * y + 0.5) + (2 * x + 0.5) / 64 + 100 * c
      local found = position:get(0, y, x, c)
      assert(math.abs(found - expected) < 1e-4, ("expected %.6f, found %.6f"):format(expected, found))
    end
  end)

  -- PyTorch's definitions, one value at a time.
  local function cubic(x)
    x = math.abs(x)
    if x <= 1 then return ((-0.75 + 2) * x - (-0.75 + 3)) * x * x + 1 end
    return x < 2 and ((-0.75 * x + 3.75) * x - 6) * x + 3 or 0
  end

  local function source(i, from, to) return (i + 0.5) * from / to - 0.5 end

  local function clamp(i, n) return math.max(0, math.min(n - 1, i)) end

  local function bicubic(t, to, y, x, c)
    local from = t.shape[2]
    local sy, sx, sum = source(y, from, to), source(x, from, to), 0
    for j = math.floor(sy) - 1, math.floor(sy) + 2 do
      for i = math.floor(sx) - 1, math.floor(sx) + 2 do
        sum = sum + cubic(sy - j) * cubic(sx - i) * t:get(0, clamp(j, from), clamp(i, from), c)
      end
    end
    return sum
  end

  local function linear(t, to, i, c)
    local from = t.shape[1]
    local s = math.max(0, source(i, from, to))
    local first = math.floor(s)
    return t:get(clamp(first, from), c) * (1 - s + first) + t:get(clamp(first + 1, from), c) * (s - first)
  end

  local function close(found, expected, what)
    if not (math.abs(found - expected) <= 2e-6) then
      error(("%s: expected %.9g, found %.9g"):format(what, expected, found))
    end
  end

  local shape = { dim = 4, heads = 2, out = 16, blocks = 3, window = 3, grid = 6, global = { 0, 2 }, decoder_mlp = 8 }
  for _, one in ipairs { { "msa-2024", "msa-2024" }, { "msa-2024", "msa-2025" }, { "msa-paper", "msa-paper" } } do
    for _, grid in ipairs { 1, 2, 5, 7, 11, 65 } do
      it(("of %s go to a grid of %d as PyTorch computes them, and the report says so"):format(one[2], grid), function()
        local ckpt = filled(fake.model(one[1], shape), {})
        local model = import.load(ckpt, { dialect = one[2], resolution = grid * 16 })
        equal({ model.grid, model.file_grid, model.encoder.window, model.encoder.global_list },
          { grid, 6, 3, { 0, 2 } })
        local name = "image_encoder.pos_embed"
        local before, after = ckpt:tensor(name), model.tensor[name]
        equal(after.shape, { 1, grid, grid, 4 })
        for y = 0, grid - 1, math.max(1, grid // 5) do
          for x = 0, grid - 1, math.max(1, grid // 7) do
            close(after:get(0, y, x, (x + y) % 4), bicubic(before, grid, y, x, (x + y) % 4), name)
          end
        end
        for block = 0, 2 do
          for _, axis in ipairs { "h", "w" } do
            local at = ("image_encoder.blocks.%d.attn.rel_"):format(block)
            local table_, made = ckpt:tensor(at .. (one[1] == "msa-2024" and axis or "pos_" .. axis)),
              model.tensor[at .. "pos_" .. axis]
            if block == 1 then
              equal(made:equal(table_), true, "a window's table")
            else
              equal(made.shape, { 2 * grid - 1, 2 })
              for i = 0, 2 * grid - 2 do
                close(made:get(i, i % 2), linear(table_, 2 * grid - 1, i, i % 2), at .. axis)
              end
            end
          end
        end
        local told = {}
        for _, fate in ipairs(model.fates) do
          if fate.fate == "resampled" then told[#told + 1] = fate.why end
        end
        table.sort(told)
        local side = before.shape[2]
        local tables = ("11 to %d, linear"):format(2 * grid - 1)
        local expected = { tables, tables, tables, tables, ("%dx%d to %dx%d, bicubic"):format(side, side, grid, grid) }
        table.sort(expected)
        equal(told, expected)
      end)
    end
  end
end)

describe("a file that msagen train wrote", function()
  local safetensors = require "msagen.safetensors"
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-trained-")
  sys.cleanup(work)
  local from = checkpoint.open(golden .. "/msa-2023-3d/checkpoint.pth")
  local list = {}
  for i, name in ipairs(from:names()) do list[i] = { name, from:tensor(name) } end
  local count = 0
  local function file(metadata)
    count = count + 1
    local path = ("%s/%d.safetensors"):format(work, count)
    safetensors.write(path, list, metadata)
    return checkpoint.open(path)
  end
  local function written(options)
    return file { { "generator", "msagen train" }, { "dialect", "msa-2023" }, { "options", options } }
  end

  it("tells dialect, depth and the order of clicks", function()
    local model = import.load(written '{"depth":4,"click_order":"rc","steps":3}')
    equal({ model.dialect, model.depth, model.click_order, model.warnings }, { "msa-2023", 4, "rc", {} })
    model = import.load(written '{}')
    equal({ model.depth, model.click_order, model.warnings }, { 1, "xy", {} })
  end)

  it("is overruled by what is asked for", function()
    local model = import.load(written '{"depth":4,"click_order":"rc"}', { depth = 2, click_order = "xy" })
    equal({ model.depth, model.click_order }, { 2, "xy" })
  end)

  it("is believed only where its writer wrote it, and in nothing that no option may be", function()
    local other = file { { "generator", "another" }, { "options", '{"depth":4}' } }
    equal(import.load(other, { dialect = "msa-2023", click_order = "xy" }).depth, 1)
    for text, expected in pairs { ["{"] = "a JSON object", ["3"] = "a JSON object", ['{"depth":0}'] = "depth: expected",
      ['{"click_order":"up"}'] = "click_order: expected xy or rc, found up", ['{"depth":"4"}'] = "the text 4",
      ['{"global_blocks":[-1]}'] = "global_blocks" } do
      refuses(function() import.load(written(text)) end, "__metadata__", expected)
    end
  end)
end)
