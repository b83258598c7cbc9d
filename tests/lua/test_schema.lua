-- SPDX-License-Identifier: Apache-2.0
-- Closed sets, everywhere: each field and each value of every schema misspelt in turn is refused, never taken for
-- something else.

local spec = require "spec"
local misspelling = require "misspelling"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local schema = require "support.schema"
local activations = require "graph.activations"
local dialects = require "import.dialects"
local dialect_check = require "import.dialect_check"
local kernels = require "kernels.kernels"

describe("a schema", function()
  local fields = { size = { schema.whole(1, 8), true }, how = { schema.one_of("slow", "fast") }, on = { schema.flag },
    inner = { schema.record { way = { schema.one_of("in", "out"), true } } }, list = {
      schema.list_of(schema.one_of("left", "right"), 1) } }
  local function check(t) schema.check(t, fields, "f.lua") end

  it("takes what it says", function()
    check { size = 8 }
    check { size = 3.0, how = "fast", on = false, inner = { way = "in" }, list = { "left", "right" } }
  end)

  it("refuses the rest in one line that names the nearest", function()
    refuses(function() check { size = 8, hwo = "fast" } end,
      "f.lua: expected one of the fields how, inner, list, on, size, found hwo (did you mean how?)")
    refuses(function() check { size = 8, how = "fats" } end,
      "f.lua: how: expected slow or fast, found fats (did you mean fast?)")
    refuses(function() check { size = 9 } end, "f.lua: size: expected a whole number from 1 to 8, found 9")
    refuses(function() check {} end, "f.lua: size: expected a whole number from 1 to 8, found none")
    refuses(function() check { size = 8, inner = { wya = "in" } } end,
      "f.lua: inner: expected one of the fields way, found wya (did you mean way?)")
    refuses(function() check { size = 8, list = { "left", "rihgt" } } end,
      "f.lua: list: expected left or right as number 2, found rihgt (did you mean right?)")
    refuses(function() check { size = 8, list = {} } end, "found an empty one")
    refuses(function() check { size = 8, [3] = true } end, "found 3")
  end)

  it("of what is read alone lets other fields pass", function()
    schema.check_known({ size = 8, other = 1, inner = { way = "in", more = 2 } }, fields, "m.json")
    refuses(function() schema.check_known({ size = 8, how = "fats" }, fields, "m.json") end, "m.json: how", "fats")
    refuses(function() schema.check_known({ size = 8, inner = { way = "it" } }, fields, "m.json") end,
      "m.json: inner: way", "it")
    refuses(function() schema.check_known({ size = 8, inner = 3 }, fields, "m.json") end,
      "m.json: inner: expected a table, found 3")
  end)
end)

describe("a dialect's file", function()
  local function of(name, changes)
    local made = {}
    for key, value in pairs(dialects.named(name)) do made[key] = value end
    for key, value in pairs(changes) do
      if value == "none" then made[key] = nil else made[key] = value end
    end
    return made
  end
  local function check(t) dialect_check.dialect(t, "made/up.lua") end

  for _, dialect in ipairs(dialects.all()) do
    it(dialect.name .. ": every slip is its own error", function()
      check(dialect)
      assert(misspelling(dialect, dialect_check.fields, check, "made/up.lua") > 100)
    end)
  end

  it("that is no table, or has another name, is refused", function()
    refuses(function() dialect_check.dialect(nil, "up.lua", "up") end,
      "up.lua: expected a file that returns a table, found nothing")
    refuses(function() dialect_check.dialect(dialects.named "sam", "up.lua", "up") end,
      "up.lua: name: expected up, as the file is called, found sam")
  end)

  it("has fields that agree", function()
    local function wrong(name, changes, ...) refuses(function() check(of(name, changes)) end, "made/up.lua: ", ...) end
    wrong("msa-2023", { adapter_activation = "none" },
      "adapter_activation: expected gelu, relu or sigmoid beside adapters", "found none")
    wrong("sam", { adapter_activation = "gelu" }, "adapter_activation", "found gelu")
    wrong("msa-2024", { default_size = "none" }, "default_size", "grid_from = tables")
    wrong("sam", { default_size = 1024 }, "default_size", "grid_from = tables")
    wrong("msa-2024", { least_mask_tokens = "none" }, "least_mask_tokens", "mask_rule = first")
    wrong("msa-2023", { least_mask_tokens = 4 }, "least_mask_tokens")
    wrong("sam", { volumes = "runs" }, "volumes: expected false")
    wrong("sam", { adapters = "encoder", adapter_activation = "gelu" }, "marks: encoder_adapters")
    wrong("msa-2023", { adapters = "paper" }, "marks: decoder_adapters")
    wrong("msa-2023", { pad_without_adapters = "zero" }, "pad_without_adapters")
  end)

  it("spells names that can be read back", function()
    local function wrong(pair, ...) refuses(function() check(of("msa-2023", { spelling = { pair } })) end,
      "made/up.lua: spelling", ...) end
    wrong({ "image_encoder.blocks.attn.rel_h", "image_encoder.blocks.N.attn.rel_pos_h" }, "as many indices N")
    wrong({ "image_encoder.a", "vision.a" }, "image_encoder., prompt_encoder. or mask_decoder.", "vision.a")
    wrong({ "a" }, "{ name in the file, SAM's name }")
    wrong({ "a", 3 }, "found 3")
    refuses(function()
      local neck = "image_encoder.neck.0.weight"
      check(of("msa-2023", { spelling = { { "a", neck }, { "b", neck } } }))
    end, "spelling: number 2: expected each name once, found image_encoder.neck.0.weight twice")
    wrong({ nil, "image_encoder.neck.0.weight" }, "{ name in the file, SAM's name }", "found none")
    wrong({ "image_encoder.a.N.rel_h", "image_encoder.blocks.N.attn.rel_psh_h" }, "a name of SAM's on the right",
      "(did you mean image_encoder.blocks.N.attn.rel_pos_h?)")
  end)

  it("has each mark's value once", function()
    local marks = {}
    for key, value in pairs(dialects.named("msa-2024").marks) do marks[key] = value end
    marks.lora = { false, false }
    refuses(function() check(of("msa-2024", { marks = marks })) end, "marks: lora: expected each of the values once",
      "found false twice")
  end)

  it("takes warnings as texts, or with the option that answers them", function()
    check(of("sam", { warnings = { "look", { text = "and look", option = "click_order" } } }))
    refuses(function() check(of("sam", { warnings = { { text = "x", optoin = "dialect" } } })) end,
      "warnings: number 1", "optoin", "did you mean option?")
    refuses(function() check(of("sam", { warnings = { { text = "x", option = "dialetc" } } })) end, "dialetc")
  end)
end)

describe("requests of kernels", function()
  local samples = { gemm = { M = 4, N = 16, K = 8, lda = 16, ldc = 16, precision = "bf16",
    packed = true }, layernorm = { rows = 1, C = 8, ldx = 16,
    ldy = 16, eps = 1e-6, moments = "kept" },
    softmax = { rows = 1, cols = 4, ld = 16 }, keys = { keys = 4, d = 8 }, attend = { M = 1, keys = 4, d = 8, ldq = 16,
      ldo = 16,
      rel = { n = 2, ld = 16 }, out_row = { n = 2, ld = 16 }, pad = { side = 3, height = 2, width = 2 } },
    attend_table = { keys = 4, d = 8, row = 2, ldb = 16, ldq = 16, ldo = 16 }, depthwise_conv = { columns = 1, C = 8,
      side = 3, stride = 1, ldx = 16, ldy = 16, across = 48 },
    line_sum = { rows = 2, C = 8, ldx = 16, squares = true }, map_moment = { lines = 2, values = 32, eps = 1e-5 },
    mapnorm = { rows = 2, C = 8, ldx = 16, ldy = 16 },
    act_dx = { f = "gelu", rows = 2, C = 8, ldx = 16, ldy = 16, ldz = 16 },
    layernorm_dx = { rows = 2, C = 8, ldx = 16, ldy = 16, ldz = 16, eps = 1e-6 },
    layernorm_dgamma = { rows = 2, C = 8, ldx = 16, ldy = 16, eps = 1e-6 }, column_sum = { rows = 2, C = 8, ldx = 16 },
    transpose_rows = { rows = 2, C = 8, ldx = 16, ldz = 16 }, transpose_panels = { N = 4, K = 8 },
    rows_to_panels = { rows = 2, d = 8, ldx = 16 },
    set_rows = { height = 2, width = 2, d = 8, ldx = 16, ld_row = 32, ldz = 16, side_h = 3, side_w = 3, s = 0.5,
      both = true },
    set_rows_back = { height = 2, width = 2, d = 8, ldx = 16, ld_row = 32, ldz = 16, side_w = 3 },
    pad_sum = { height = 2, width = 2, side_h = 3, side_w = 3, d = 8, ldz = 16 },
    softmax_rows = { M = 2, keys = 4, ld = 16, counted = true },
    softmax_dx = { M = 2, keys = 4, ldp = 16, ldd = 16, counted = true },
    relative_fill = { M = 2, side_h = 2, side_w = 2, ldr = 16, lds = 32 },
    relative_sums = { M = 2, side_h = 2, side_w = 2, lds = 32, ldr = 16 },
    relative_dq = { rows = 1, width = 2, side_h = 2, side_w = 2, d = 8, ldr = 16, ldz = 16 },
    lanes_in = { C = 8, ldx = 8 }, lanes_out = { C = 8, ldz = 8 },
    samples_in = { type = "int16", C = 8, gain = true }, lanes_mean = { points = 8 },
    lanes_gain = { points = 8, centre = true, gain = true }, lanes_fir = { points = 8, taps = 3 },
    lanes_weigh = { points = 8, add = true }, lanes_copy = { points = 8, ldz = 16 },
    lanes_level = { from = "complex", to = "grey", points = 8, ldx = 32, ldz = 16, gamma = true },
    frame_reference = { rows = 2, C = 8, ldx = 16, full = 255 },
    frame_persist = { rows = 2, C = 8, ld = 16, keep = 0.5 },
    bayer_rows = { width = 8, height = 8, pattern = "RGGB", demosaic = "malvar", type = "uint16", curve = "srgb" },
    local_average = { width = 8, height = 8, channels = 3, radius = 2 },
    scan_runs = { runs = 1, pixels = 16, lines = 4, samples = 8, ld = 16, line_bits = 20, sample_bits = 20 },
    scan_grid = { width = 4, pixels = 16, first_row = 0, rows = 4, first_column = 0, columns = 4, lines = 4,
      samples = 8, ld = 16, line_bits = 20, sample_bits = 20 },
    fft = { part = "first", points = 4, count = 1, is = 8, xs = 8, ys = 8, s = 8, t = 8, inverse = true, some = 3 },
    gemm_int8 = { M = 2, N = 16, K = 8, lda = 64, ldc = 16, of = "keys", out = "linear", bias = true, act = "relu",
      residual = true },
    quantise_rows = { rows = 2, C = 8, ldx = 16, ldq = 64, s = 0.5, tops = true },
    round_rows = { rows = 2, C = 8, ldx = 16, ldy = 16 }, keys_bf16 = { keys = 4, d = 8, row = 2 },
    tops_int8 = { rows = 2, C = 8, ldx = 16 }, keys_int8 = { keys = 4, d = 8, row = 2 },
    values_int8 = { keys = 4, d = 8, row = 2 }, softmax_int8 = { rows = 1, cols = 4, ld = 16, ldp = 32 },
    attend_int8 = { M = 1, keys = 4, d = 8, ldq = 64, ldo = 16, ldb = 16, rel = { n = 2, ld = 16 },
      out_row = { n = 2, ld = 16 }, pad = { side = 3, height = 2, width = 2 } },
    relative_drel = { rows = 1, width = 2, side_h = 2, side_w = 2, d = 8, ldr = 16, ldq = 16 } }
  for kind, fields in pairs(kernels.requests) do
    local rows = kind:match "^rows (.*)$"
    local sample = rows and { rows = 1, C = 8, ldx = 16, ldy = 16, ldz = 16, ldv = 16, s = 0.5 } or samples[kind]
    it(kind .. ": every slip is refused", function()
      local where = "kernels: " .. kind
      local function check(t) schema.check(t, fields, where) end
      check(sample)
      local given = #require("support.closed").sorted(sample)
      assert(misspelling(sample, fields, check, where) > math.min(5, 2 * given))
    end)
  end

  it("reach their check from the functions that layers call", function()
    local set = kernels.new({ width = 1, registers = 16 }, { core = {}, caches = {} }, "templates")
    for kind, sample in pairs(samples) do
      local wrong = { oops = true }
      for key, value in pairs(sample) do wrong[key] = value end
      refuses(function() set[kind](set, wrong) end, "kernels: " .. kind, "found oops")
    end
    refuses(function() set:gemm { M = 4, N = 16, K = 8, lda = 16, ldc = 16, act = "relu6" } end,
      "kernels: gemm: act: expected gelu, none, relu or sigmoid, found relu6 (did you mean relu?)")
    refuses(function() set:rows("addd", { rows = 1, C = 1 }) end, "kernels: rows: expected add, add2", "found addd")
  end)
end)

describe("activations", function()
  it("are known by one table", function()
    equal(activations.names, { "gelu", "none", "relu", "sigmoid" })
    refuses(function() activations.of("rleu", "x") end,
      "x: expected gelu, none, relu or sigmoid, found rleu (did you mean relu?)")
    equal(activations.known, { "gelu", "quick_gelu", "relu", "sigmoid" })
    refuses(function() activations.of("quick_gelu", "x") end,
      "x: expected gelu, none, relu or sigmoid, found quick_gelu")
  end)
end)

describe("operations of a graph", function()
  local ops, ssa = require "graph.ops", require "graph.ssa"
  local attributes = { tensor = {}, make = function() end, sources = {}, scale = 0.5, f = "gelu", eps = 1e-6,
    value = true,
    stride = 2, side = 3, sums = "whole", heads = 2, grid = { 2, 2 }, window = 2, index = function() end, to = { 4 },
    sequences = {}, causal = { 1 }, first = 0, count = 1, order = { 1 }, given = "mask",
    holds = true, s = 0.5, pads = true, rel = false, precision = "int8", unbiased = function() end,
    unbiased_sources = {}, equalised = {} }
  for kind, entry in pairs(ops.table) do
    it(kind .. ": every slip is refused", function()
      local sample, where = {}, "graph: one: " .. kind
      for name in pairs(entry.attributes) do
        sample[name] = attributes[name]
        if sample[name] == nil then error("no sample of " .. name) end
      end
      local function add(fields, more)
        local g, inputs, given = ssa.new(), {}, { shape = { 1 } }
        g:layer "one"
        for i, role in ipairs(entry.roles) do inputs[role == "..." and i or role] = g:input("i" .. i, { 1 }) end
        for role, value in pairs(more or {}) do inputs[role] = value end
        for name, value in pairs(fields) do given[name] = value end
        return g:value(kind, inputs, given)
      end
      add(sample)
      misspelling(sample, entry.attributes, function(fields) add(fields) end, where)
      refuses(function() add(sample, { wieght = {} }) end, where, "found wieght")
    end)
  end

  it("are refused by their kind", function()
    refuses(function() ssa.new():value("layernrom", {}) end, "graph: nil: layernrom: expected act",
      "found layernrom (did you mean layernorm?)")
  end)
end)

describe("layers", function()
  it("are refused where no loops are known for their operations", function()
    local group, lower, ssa = require "lower.group", require "lower.lower", require "graph.ssa"
    local g = ssa.new()
    g:layer "odd"
    g:output("y", g:conv(g:input("x", { 1, 4, 4, 2 }), g:input("w", { 3, 2, 2, 2 }), nil,
      { stride = 2, sums = "whole" }))
    refuses(function() lower.nest_of(group.list(g)[1]) end, "lower: layer odd", "conv")
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end
local board_check, boards = require "target.board_check", require "target.boards"
local reference = require "msagen.reference"

describe("activations of the host", function()
  it("are each computed by the naive kernels of every class, and of doubles", function()
    local x = require "msagen.tensor".from({ -1, 0, 2 }, { 1, 3 })
    for _, class in ipairs { "f32-fma-1", "f32-muladd-1", "float64" } do
      for _, name in ipairs(activations.computed) do
        equal(activations.run(reference.of(class), name, x):get(0, 1), name == "sigmoid" and 0.5 or 0.0, name)
      end
    end
  end)
end)

describe("a manifest", function()
  local manifest = require "run.manifest"
  local sample = { runner = "runner/msa_run", weights = "msa_weights.bin", input_size = 64, depth = 1, grid = 4,
    max_points = 16, arena_bytes = 64, weights_bytes = 64, macs_encode = 1, macs_decode = 1,
    version = msagen.version, precision = "f32", banks = { { name = "a" } }, texts = { "liver" } }
  local function check(t) manifest.check(t, "fw/manifest.json") end

  it("has every field that is read of its kind", function()
    check(sample)
    assert(misspelling(sample, manifest.fields, check, "fw/manifest.json", true) > 40)
  end)

  it("may say more, and null for nothing", function()
    local null = require "msagen.json".null
    local more = { clock = null, emulator = null, banks = null, another = { 1 } }
    for key, value in pairs(sample) do more[key] = more[key] or value end
    check(more)
    equal(more.clock, nil)
  end)

  it("of a newer version is said to be of one", function()
    local newer = { version = "9.9", precision = "int2" }
    for key, value in pairs(sample) do newer[key] = newer[key] or value end
    refuses(function() check(newer) end,
      "fw/manifest.json: precision: expected bf16, f32 or int8, found int2 (did you mean int8?): the folder is of "
      .. "msagen 9.9, this is " .. msagen.version .. ": build it again")
  end)
end)

describe("a device of a build script", function()
  it("has no field but the compiler's options", function()
    local compiler = require "compiler.compiler"
    for option in pairs(require("compiler.options").fields) do
      local slip = option .. "q"
      refuses(function() compiler.schedule({ checkpoint = "a.pth", [slip] = 1 }, "device.lua") end,
        "device.lua: expected one of the fields", ("found %s (did you mean %s?)"):format(slip, option))
    end
  end)
end)

describe("a board's table", function()
  local sample = dofile(msagen.datadir .. "/boards/cortex-m7.lua")
  it("every slip of the pen is refused", function()
    local function check(t) board_check.board(t, "made/up.lua", function() return "." end) end
    assert(misspelling(boards.completed(sample, "made/up.lua"), board_check.fields, check, "made/up.lua") > 100)
  end)

  it("so is every one in an instruction set's", function()
    for _, name in ipairs { "avx2", "helium" } do
      local isa = dofile(("%s/lua/target/isa/%s.lua"):format(msagen.datadir, name))
      assert(misspelling(isa, board_check.isa_fields, function(t) board_check.isa(t, "made/up.lua") end,
        "made/up.lua") > 50)
    end
  end)
end)

describe("a manifest's own hash", function()
  local seal = require "emit.manifest_seal"
  local text = require "msagen.json".encode({ banks = { "a", "b" }, emulator = { "qemu", "-cpu", "max" },
    manifest_sha256 = "", requires = { "fma" } }, { indent = 1 }) .. "\n"
  local sealed = seal.put(text)

  it("tells other values, banks in another order among them", function()
    equal(seal.broken(sealed), false)
    equal(seal.broken((sealed:gsub('"a",(%s*)"b"', '"b",%1"a"'))), true)
    equal(seal.broken((sealed:gsub('": "%x', '": "'))), true)
    equal(seal.broken(text:gsub("\n[^\n]*sha256[^\n]*", "")), false)
  end)

  it("leaves emulator and requirements to a person", function()
    local other, emulators = sealed:gsub('("emulator": )%b[]', "%1null")
    local changed, requirements = other:gsub('("requires": )%b[]', "%1[]")
    equal({ emulators, requirements, seal.broken(changed) }, { 1, 1, false })
  end)
end)
