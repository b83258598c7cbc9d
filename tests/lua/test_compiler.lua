-- SPDX-License-Identifier: Apache-2.0
-- The compiler as a whole: the same bytes each time, names under a prefix, what generated text never holds; and that an
-- instruction set, a board and a dialect are each one new file.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local tiny = require "tiny_model"
local tier = require "tier"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-compiler-")
sys.cleanup(work)

local function built(name, dir, changes)
  local device = tiny.device(work, name)
  device.board = "generic-c99"
  for k, v in pairs(changes or {}) do device[k] = v end
  tiny.build(device, work .. "/" .. dir)
  return work .. "/" .. dir
end

--- C without comments and without strings.
local function code_of(text)
  return (text:gsub("/%*.-%*/", " "):gsub('"[^"\n]*"', '""'))
end

describe("a checkpoint that changes while it is read", function()
  local checkpoint = require "msagen.checkpoint"
  local function poke(path, at, bytes)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", at)
    file:write(bytes)
    file:close()
  end

  it("is refused, and nothing is written: what is hashed is what is built", function()
    local folder = work .. "/changing"
    sys.mkdir_p(folder)
    local device = tiny.device(folder, "plain")
    device.board = "generic-c99"
    local bytes = sys.read_file(device.checkpoint)
    for _, at in ipairs { #bytes - 40, #bytes // 2 } do
      local poked = false
      refuses(function()
        tiny.quietly(require "compiler.compiler".build, device, folder .. "/fw", "test", function(what)
          if poked or not what:match "^packing" then return end
          poked = true
          poke(device.checkpoint, at, "\0\0\128\63")
        end)
      end, device.checkpoint .. ": expected a file that stays as it is, found it changed while it was read")
      equal({ poked, sys.exists(folder .. "/fw") }, { true, false })
      sys.write_file(device.checkpoint, bytes)
    end
    tiny.build(device, folder .. "/fw")
  end)

  it("is noticed by its bytes where its times say nothing", function()
    local device = tiny.device(work, "plain")
    local file = checkpoint.open(device.checkpoint)
    file:sha256()
    file:confirm()
    tiny.must { "sh", "-c",
      'cp -p "$1" "$1.old" && printf x | dd of="$1" bs=1 seek=4000 conv=notrunc status=none && touch -r "$1.old" "$1"',
      "sh", device.checkpoint }
    file:unchanged()
    refuses(function() file:confirm() end, device.checkpoint, "found it changed")
    sys.rename(device.checkpoint .. ".old", device.checkpoint)
  end)
end)

describe("the same build twice", function()
  for _, name in ipairs { "adapted", "late" } do
    it("gives the same bytes: " .. name, function()
      local a, b = built(name, name .. "_a"), built(name, name .. "_b")
      local files = require("run.made").list(a)
      equal(require("run.made").list(b), files)
      assert(#files > 15)
      for _, file in ipairs(files) do
        assert(sys.read_file(a .. "/" .. file) == sys.read_file(b .. "/" .. file), file .. " differs")
      end
    end)
  end

  it("differs between boards in text alone: one blob for all, but for the name of the class in its header", function()
    local a = work .. "/adapted_a"
    for _, board in ipairs(require "target.boards".all()) do
      local b = built("adapted", "adapted_" .. board.name, { board = board.name })
      local expected = sys.read_file(a .. "/msa_weights.bin")
      assert(expected:sub(33, 48) == string.pack("c16", "f32-fma-1"))
      expected = expected:sub(1, 32) .. string.pack("c16", board.arithmetic) .. expected:sub(49)
      assert(expected == sys.read_file(b .. "/msa_weights.bin"), board.name)
      equal(json.decode(sys.read_file(b .. "/manifest.json"), "m").model_hash,
        json.decode(sys.read_file(a .. "/manifest.json"), "m").model_hash)
    end
  end)
end)

describe("the class of arithmetic", function()
  it("is the board's, in manifest, header and text; no compiler flag changes it", function()
    for name, class in pairs { ["generic-c99"] = "f32-fma-1", ["generic-c99-nofma"] = "f32-muladd-1" } do
      local dir = work .. "/adapted_" .. name
      equal(json.decode(sys.read_file(dir .. "/manifest.json"), "m").arithmetic, class)
      holds(sys.read_file(dir .. "/msa_model.h"), ('#define MSA_MODEL_ARITHMETIC "%s"'):format(class),
        "arithmetic " .. class)
      local arith = sys.read_file(dir .. "/msa_arith.h")
      holds(arith, ("#define MSA_ARITHMETIC_MULADD %d /* %s */"):format(class == "f32-fma-1" and 0 or 1, class))
      assert(not arith:find("#ifndef MSA_ARITHMETIC", 1, true))
    end
  end)

  it("of a board must be one that its instruction set has", function()
    local data = work .. "/classes"
    sys.mkdir_p(data)
    for _, part in ipairs { "lua", "boards" } do tiny.must { "cp", "-R", msagen.datadir .. "/" .. part, data } end
    local text = sys.read_file(data .. "/boards/generic-c99-nofma.lua"):gsub('"generic%-c99%-nofma"', '"odd"')
    local function refusal(changed)
      sys.write_file(data .. "/boards/odd.lua", changed)
      local status, output = sys.spawn { tiny.program(), "boards", env = { MSAGEN_DATADIR = data }, stdin = "/dev/null",
        stdout = "capture", stderr = "capture" }
      equal(status, 1)
      return output
    end
    holds(refusal((text:gsub("f32%-muladd%-1", "f64-1"))), "odd.lua", "expected f32-fma-1 or f32-muladd-1, found f64-1")
    local isa = sys.read_file(data .. "/lua/target/isa/c99.lua"):gsub("  fma = [^\n]*\n", "")
    sys.write_file(data .. "/lua/target/isa/bare.lua", isa)
    holds(refusal((text:gsub('isa = "c99"', 'isa = "bare"'):gsub("f32%-muladd%-1", "f32-fma-1"))), "odd.lua",
      "expected f32-muladd-1", "bare", "found f32-fma-1")
  end)
end)

describe("generated text", function()
  local dir = work .. "/adapted_a"
  local function each(body)
    local count = 0
    for _, file in ipairs(sys.list(dir)) do
      if file:match "%.[ch]$" then
        body(file, sys.read_file(dir .. "/" .. file))
        count = count + 1
      end
    end
    assert(count > 10)
  end

  it("has no branch of a feature that the build has not, nor has the test bench", function()
    local function check(file, text)
      assert(not text:find "\n%s*#%s*e?l?if[^\n]*MSA_MODEL_%u%u", file .. " asks what the build is")
    end
    each(check)
    for _, file in ipairs(sys.list(dir .. "/runner")) do check(file, sys.read_file(dir .. "/runner/" .. file)) end
  end)

  it("allocates nothing, jumps nowhere, prints nothing, knows no date", function()
    each(function(file, text)
      local code = code_of(text)
      for _, word in ipairs { "malloc", "calloc", "realloc", "free", "alloca", "goto", "setjmp", "longjmp", "printf",
        "fopen", "time", "__DATE__", "__TIME__", "__FILE__", "_Thread_local" } do
        assert(not code:find("%f[%w_]" .. word .. "%f[^%w_]"), file .. " has " .. word)
      end
      assert(not text:find(work, 1, true) and not text:find(msagen.datadir .. "/", 1, true),
        file .. " names a folder of this machine")
    end)
  end)

  it("has no file-scope data but constants", function()
    each(function(file, text)
      local depth = 0
      for line in code_of(text):gmatch "[^\n]*" do
        if depth == 0 and not line:match "^%s*#" and not line:match "^%s*typedef" then
          local data = line:match "^[%w_%s%*]+%f[%w_][%w_]+%s*%[?[%w_]*%]?%s*[=;]" and not line:match "%("
          assert(not data or line:match "%f[%w_]const%f[^%w_]" or line:match "^%s*}" or line:match "^%s*$",
            file .. ": " .. line)
          assert(not line:match "%(%s*%*%s*[%w_]+%s*%)%s*%(", file .. ": a function pointer: " .. line)
        end
        for brace in line:gmatch "[{}]" do depth = depth + (brace == "{" and 1 or -1) end
        -- Static data within a function is constant as well.
        if depth > 0 and line:match "^%s+static%f[^%w_]" then holds(line, "static const") end
      end
      equal(depth, 0, file .. ": braces")
    end)
  end)

  it("computes in float: double only where the runtime says why", function()
    each(function(file, text)
      local allowed = ("msa_arith.h, msa_prompt.c, msa_image.c, msa_upsample.c, msa_resize.c, msa_check.c, "
        .. "msa_runtime.h"):find(file, 1, true)
      assert(allowed or not code_of(text):find "%f[%w_]double%f[^%w_]", file .. " has double")
      -- A literal without f is a double.
      if not allowed then
        local rest = code_of(text):gsub("%f[%w_]0x%x+u?", "0"):gsub("%f[%w_.]%d+%.?%d*[eE][+-]?%d+f",
          "f"):gsub("%f[%w_.]%d+%.%d*f", "f")
        local literal = rest:match "%f[%w_]%d+%.%d*" or rest:match "%f[%w_]%d+[eE][+-]?%d+"
        assert(not literal, literal and file .. ": " .. literal)
      end
    end)
  end)

  -- Functions of a text: name -> names of parameters, in order; and the lines of each.
  local function functions_of(text)
    local list = {}
    for name, parameters, body in ("\n" .. text):gmatch "\n[%w ]*void ([%w_]+)(%b())\n(%b{})" do
      local names = {}
      for word in parameters:sub(2, -2):gmatch "([%w_]+)%s*%f[,\0]" do names[#names + 1] = word end
      list[#list + 1] = { name = name, parameters = names, body = body }
    end
    return list
  end

  it("loops over numbers: no variable-length arrays, bounds are numbers, perhaps with an end before, or the caller's",
    function()
    local loops = 0
    for _, file in ipairs { "msa_kernels.c", "msa_encoder.c", "msa_decoder.c" } do
      local text = code_of(sys.read_file(dir .. "/" .. file))
      for line in text:gmatch "[^\n]+" do
        local size = line:match "^%s+float [%w_]+%[([^%]]+)%];"
        assert(not size or size:match "^%d+$", file .. ": " .. line)
      end
      for _, f in ipairs(functions_of(text)) do
        local known = {}
        for _, name in ipairs(f.parameters) do known[name] = true end
        for list in f.body:gmatch "const size_t ([^;\n]+);" do -- and what is made of them
          for name, made in list:gmatch "(%w+) = ([^,]+)" do
            known[name] = true
            for of in made:gmatch "%f[%w_][%a_][%w_]*" do known[name] = known[name] and known[of] end
          end
        end
        for bound in f.body:gmatch "for %([^;]-;[^;]-<%s*([^;]-);" do
          loops = loops + 1
          bound = bound:match "^(%d+) && i < count$" or bound:match "^(%w+) / %d+ %* %d+$" or bound
          assert(bound:match "^%d+$" or known[bound], ("%s: %s: %s"):format(file, f.name, bound))
        end
      end
    end
    assert(loops > 50, loops)
  end)

  it("gives kernels numbers: no argument that a loop ends at is worked out when the model runs", function()
    local ends, calls = {}, 0
    for _, f in ipairs(functions_of(code_of(sys.read_file(dir .. "/msa_kernels.c")))) do
      for i, name in ipairs(f.parameters) do
        if f.name:find "_f32" and f.body:find("<%s*" .. name .. ";") then
          ends[f.name] = ends[f.name] or {}
          ends[f.name][i] = true
        end
      end
    end
    for _, file in ipairs { "msa_encoder.c", "msa_decoder.c" } do
      for name, list in code_of(sys.read_file(dir .. "/" .. file)):gmatch "([%w_]+)(%b());" do
        local i = 0
        for argument in (list:sub(2, -2) .. ","):gmatch "%s*([^,]-)%s*," do
          i = i + 1
          if ends[name] and ends[name][i] then
            calls = calls + 1
            assert(argument:match "^%d+$", ("%s: %s: %s"):format(file, name, argument))
          end
        end
      end
    end
    assert(calls > 20, calls)
  end)

  it("cites in every layer the tensors, and every tensor of the manifest's used ones in some layer", function()
    local text = sys.read_file(dir .. "/msa_encoder.c") .. sys.read_file(dir .. "/msa_decoder.c")
    local m = json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json")
    for _, layer in ipairs(m.layers) do holds(text, "msa_" .. layer.name .. "(float *arena") end
    for _, fate in ipairs(m.tensors) do
      local table_row = fate.name:match "point_embeddings" or fate.name:match "not_a_point"
        or fate.name:match "gaussian" or fate.name:match "iou_token" or fate.name:match "mask_tokens"
      if fate.fate == "used" and not table_row then holds(text, fate.name) end
    end
  end)

  it("ends every file with one newline and has no blank at a line's end", function()
    for _, file in ipairs { "msa_encoder.c", "msa_decoder.c", "msa_kernels.h", "msa_internal.h", "msa_model.h",
      "msa_simd.h", "Makefile" } do
      local text = sys.read_file(dir .. "/" .. file)
      assert(text:sub(-1) == "\n" and text:sub(-2) ~= "\n\n", file)
      assert(not text:find "[ \t]\n", file .. " has blanks at the end of a line")
    end
  end)
end)

describe("the manifest", function()
  it("says what was built, with the hash of every file", function()
    local dir = work .. "/adapted_a"
    local m = json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json")
    equal({ m.generator, m.board, m.arithmetic, m.input_size, m.grid, m.masks },
      { "msagen", "generic-c99", "f32-fma-1", 56, 7, 4 })
    for file, hash in pairs(m.files) do
      equal(hash, require "msagen.sha256".hex(sys.read_file(dir .. "/" .. file)), file)
    end
    equal(m.weights_bytes, sys.size(dir .. "/msa_weights.bin"))
    assert(m.arena_bound_bytes <= m.arena_bytes)
    local macs = { encode = 0, decode = 0 }
    for _, layer in ipairs(m.layers) do
      macs[layer.phase] = macs[layer.phase] + layer.macs
      equal(math.type(layer.bytes), "integer", layer.name)
      -- Of one bank; a click without a mask reads nothing of the mask's convolutions.
      assert(layer.bytes >= layer.weights_bytes or layer.kind == "dense_prompt", layer.name)
    end
    equal(macs, { encode = m.macs_encode, decode = m.macs_decode })
  end)
end)

describe("a prefix", function()
  it("leaves no name that begins with msa_", function()
    local dir = built("plain", "prefixed", { prefix = "Left9" })
    for _, file in ipairs(require("run.made").list(dir)) do
      assert(not file:find "%f[%w_]msa", file)
      if file ~= "Left9_weights.bin" then
        local text = sys.read_file(dir .. "/" .. file)
        for _, name in ipairs { "%f[%w_]msa_", "%f[%w_]MSA_", "libmsa", "%f[%w_]msa%.h" } do
          local at = text:find(name)
          assert(not at, at and ("%s: %s"):format(file, text:sub(math.max(1, at - 30), at + 40)))
        end
      end
    end
    tiny.must { "make", "-C", dir, "CFLAGS=-O0" }
    local symbols = tiny.must { "nm", "-g", "--defined-only", dir .. "/libLeft9_model.a" }
    holds(symbols, " T Left9_open", " T Left9_self_test")
    for line in symbols:gmatch "[^\n]+" do
      local name = line:match "^%x+ %a (%S+)$"
      assert(not name or name:match "^Left9_", line)
    end
  end)
end)

-- Four floats a vector, in terms of any compiler with vector types: no instruction set that the tree knows.
local FOUR = [[
-- SPDX-License-Identifier: Apache-2.0
--- Made up for a test: 4 floats a vector, 9 registers.
local function each(expression)
  local lanes = ""
  for i = 0, 3 do lanes = lanes .. expression:gsub("_ ", "[" .. i .. "] ") .. (i < 3 and ", " or "") end
  return "(msa_vec){ " .. lanes .. " }"
end
return {
  width = 4,
  registers = 9,
  vector = "float __attribute__((vector_size(16)))",
  load = "(msa_vec){ p[0], p[1], p[2], p[3] }",
  store = "p[0] = v[0], p[1] = v[1], p[2] = v[2], p[3] = v[3]",
  splat = "(msa_vec){ s, s, s, s }",
  add = "a + b",
  sub = "a - b",
  mul = "a * b",
  div = "a / b",
  fma = each "msa_fma(a_ , b_ , c_ )",
  max = each "msa_max(a_ , b_ )",
  abs = each "msa_from_bits(msa_bits(a_ ) & 0x7fffffffu)",
  scale = each "msa_from_bits(msa_bits(a_ ) + (msa_bits(t_ ) << 23))",
  zero_below = each "x_ < c_ ? 0.0f : a_ ",
}
]]
local BOARD = [[
-- SPDX-License-Identifier: Apache-2.0
return {
  name = "toaster", summary = "made up for a test", isa = "four", hosted = true, requires = {}, preference = -1,
  compiler = "gcc", flags = {},
  core = { fma_per_cycle = 0.5, loads_per_cycle = 1, fma_latency = 9 },
  caches = { l1 = 2048, l2 = 8192 },
}
]]
local DIALECT = [[
-- SPDX-License-Identifier: Apache-2.0
local dialect = {}
for key, value in pairs(require "import.dialects.msa-2025") do dialect[key] = value end
dialect.name, dialect.source, dialect.order = "house", "a hospital's own training", 9
dialect.normalise, dialect.resize = "unit", "longest"
return dialect
]]

describe("one new file is", function()
  local data = work .. "/data"
  sys.mkdir_p(data)
  for _, part in ipairs { "lua", "templates", "runtime", "boards" } do
    tiny.must { "cp", "-R", msagen.datadir .. "/" .. part, data }
  end
  local function command(...)
    local list = { tiny.program(), ... }
    list.env = { MSAGEN_DATADIR = data }
    return tiny.must(list)
  end

  --- Digest of a folder on a made-up image and two prompts.
  local function digest(dir)
    local image, prompts = work .. "/image.npy", work .. "/prompts.json"
    if not sys.exists(image) then
      local bytes = {}
      for i = 0, 61 * 47 * 3 - 1 do bytes[#bytes + 1] = string.char((i * i + i // 7) % 251) end
      require "msagen.npy".write(image, { dtype = "u8", shape = { 61, 47, 3 }, bytes = table.concat(bytes) })
      sys.write_file(prompts, '[{"points":[[20,30],[5.5,60]],"labels":[1,0],"multimask":true},{"box":[3,4,40,50.5]}]')
    end
    tiny.must { "make", "-C", dir, "CFLAGS=-O0" }
    return command("run", dir, "--image", image, "--prompts", prompts, "--digest"):match "digest (%x+)"
  end
  local function build(name, out, ...)
    local device = tiny.device(work, name)
    local arguments = { "build", device.checkpoint, "-o", work .. "/" .. out, "--decoder-heads",
      tostring(device.decoder_heads), "--global-blocks", "1" }
    if device.resolution then
      table.move({ "--resolution", tostring(device.resolution), "--classes", tostring(device.classes) }, 1, 4,
        #arguments + 1, arguments)
    end
    table.move({ ... }, 1, select("#", ...), #arguments + 1, arguments)
    command(table.unpack(arguments))
    return work .. "/" .. out
  end

  it("an instruction set, and a board: the same digest as plain C", function()
    if not spec.compiles() then return end
    sys.write_file(data .. "/lua/target/isa/four.lua", FOUR)
    sys.write_file(data .. "/boards/toaster.lua", BOARD)
    holds(command "boards", "toaster", "made up for a test")
    for _, case in ipairs { { "adapted", "msa-paper" }, tier.full and { "plain", "sam" } or nil } do
      local reference = digest(build(case[1], case[1] .. "_reference", "--dialect", case[2], "--board", "generic-c99"))
      assert(reference and #reference == 64)
      local dir = build(case[1], case[1] .. "_toaster", "--dialect", case[2], "--board", "toaster")
      holds(sys.read_file(dir .. "/msa_simd.h"), "vector_size(16)")
      equal(digest(dir), reference, case[1])
    end
  end)

  it("a dialect: found, offered, and compiled", function()
    sys.write_file(data .. "/lua/import/dialects/house.lua", DIALECT)
    local dir = build("late", "late_house", "--dialect", "house", "--board", "generic-c99")
    local m = json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json")
    equal({ m.checkpoint.dialect, m.resize, m.normalise }, { "house", "longest", "unit" })
    local ok, problem = pcall(build, "late", "late_undecided", "--board", "generic-c99")
    assert(not ok)
    holds(problem, "--dialect", "msa-2024", "msa-2025", "house")
    for _, wrong in ipairs { { '"longest"', '"longset"',
      "resize: expected longest or squash, found longset (did you mean longest?)" },
      { "dialect%.resize", "dialect.resiez", "found resiez (did you mean resize?)" },
        { "return dialect", "return", "expected a file that returns a table, found " },
      { "return dialect", "return =", "expected a file that returns a table, found " } } do
      sys.write_file(data .. "/lua/import/dialects/house.lua", (DIALECT:gsub(wrong[1], wrong[2])))
      ok, problem = pcall(build, "late", "late_wrong", "--board", "generic-c99")
      assert(not ok)
      holds(problem, "/house.lua: ", wrong[3])
    end
    sys.write_file(data .. "/lua/import/dialects/house.lua", DIALECT)
  end)
end)

describe("a tensor with a NaN", function()
  it("is refused with file and tensor, whichever part it is of", function()
    local device = tiny.device(work, "adapted")
    local bytes = sys.read_file(device.checkpoint)
    local length = string.unpack("<I8", bytes)
    local header = json.decode(bytes:sub(9, 8 + length), "header")
    device.board, device.checkpoint = "generic-c99", work .. "/nan.safetensors"
    for _, name in ipairs { "prompt_encoder.point_embeddings.2.weight",
      "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "mask_decoder.mask_tokens.weight",
      "image_encoder.pos_embed", "image_encoder.blocks.0.Space_Adapter.D_fc1.weight",
        "prompt_encoder.mask_downscaling.0.bias" } do
      local at = 8 + length + header[name].data_offsets[1]
      sys.write_file(device.checkpoint, bytes:sub(1, at) .. string.pack("<f", 0 / 0) .. bytes:sub(at + 5))
      spec.refuses(function()
        tiny.build(device, work .. "/nan")
      end, "nan.safetensors: " .. name .. ": expected finite values, found NaN at [0")
    end
  end)
end)

describe("a warning", function()
  it("takes the progress line away first", function()
    local progress, lines, err = require "cli.progress", {}, io.stderr
    -- luacheck: ignore
    io.stderr = { write = function(self, ...) lines[#lines + 1] = table.concat { ... } return self end,
      flush = function() end }
    progress.show("packing weights", 1, 2)
    progress.warn("look", "ct")
    progress.warn "again"
    io.stderr = err -- luacheck: ignore
    local line = "[ 50%] packing weights"
    equal(lines, { "\r" .. line, "\r" .. (" "):rep(#line) .. "\r", "msagen: warning: ct: look\n",
      "msagen: warning: again\n" })
  end)
end)
