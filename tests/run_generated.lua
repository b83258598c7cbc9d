-- SPDX-License-Identifier: Apache-2.0
-- What generated code is (DESIGN.md section 2): clean under strict flags, freestanding, nothing that changes or
-- allocates, a plain
-- Makefile, an API that refuses misuse, and the same bytes each time.
local sys = require "msagen.sys"
local json = require "msagen.json"
local image = require "msagen.image"
local cases = require "cases"
local tally = require "tally"
package.path = ("%s/lua/?.lua;%s"):format(tally.tests, package.path)
local tiny = require "tiny_model"
local must = tally.must

local work = tally.folder "generated"
local strict = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror"

local function build(out, ...)
  must { tally.program, "build", tally.head, "--dialect", "msa-paper", "-o", out, ... }
end

local function lines(text)
  return text:gmatch "[^\n]+"
end

--- The product's C files of a folder: runner/ is a test harness.
local function sources(fw)
  local list = {}
  for _, name in ipairs(sys.list(fw)) do
    if name:match "%.[ch]$" then list[#list + 1] = name end
  end
  return list
end

--- C without comments and strings.
local function code_of(path)
  return (sys.read_file(path):gsub("/%*.-%*/", " "):gsub('"[^"\n]*"', '""'))
end

--- The first instruction of AVX or later in a folder's library and runner, disassembled, or nil; and how many there are
-- of all kinds.
local function avx(fw)
  local found, all, command = nil, 0, { "objdump", "-d", "--no-show-raw-insn", fw .. "/libmsa_model.a" }
  for _, name in ipairs(sys.list(fw .. "/runner")) do
    if name:match "%.o$" then command[#command + 1] = ("%s/runner/%s"):format(fw, name) end
  end
  assert(#command > 4, "no runner")
  for line in lines(must(command)) do
    local instruction = line:match "^%s*%x+:%s+(%S+)"
    if instruction then
      all = all + 1
      if instruction:match "^v" or line:find "%%[yz]mm" then found = found or line end
    end
  end
  return found, all
end

--- Of the innermost loops of matrix products with `sums` multiplications: how many there are, and an instruction in one
-- of them that uses the stack.
local function products(fw, sums)
  local count, spilled, name, body = 0, nil, nil, {}
  for line in lines(must { "objdump", "-d", "--no-show-raw-insn", fw .. "/msa_kernels.o" }) do
    local at, target = line:match "^%s*(%x+):", line:match "%sj%l+%s+(%x+) <"
    if line:match "^%x+ <" then name, body = line:match "<(.*)>", {} end
    if at and (name:match "^msa_tile_" or name:match "^msa_gemm_") then
      body[#body + 1] = { at = tonumber(at, 16), line = line }
      if target and body[1].at <= tonumber(target, 16) and tonumber(target, 16) < tonumber(at, 16) then
        local multiplied, stack = 0, nil
        for _, instruction in ipairs(body) do
          if instruction.at >= tonumber(target, 16) then
            if instruction.line:find "mulps" then multiplied = multiplied + 1 end
            if instruction.line:find "%%rsp" then stack = instruction.line end
          end
        end
        if multiplied == sums then count, spilled = count + 1, spilled or stack and name .. ": " .. stack end
        body = {} -- a loop around this one is no innermost one
      end
    end
  end
  return count, spilled
end

--- Bytes of text in a folder's library; the weights are .incbin'd into an object of their own.
local function text_bytes(fw)
  local total = 0
  for line in lines(must { "size", fw .. "/libmsa_model.a" }) do
    local text = line:match "^%s*(%d+)"
    if text and not line:find("weights", 1, true) then total = total + math.tointeger(text) end
  end
  return total
end

--- Compilers that compile a board's folder: below the full tier both for the best board, one of them for plain C and
-- for one of the others.
local other = {}
for _, board in ipairs(tally.boards) do
  if board.name ~= tally.best and not board.plain then other[#other + 1] = board.name end
end
other = #other > 0 and tally.chosen(other, "flags")
local function compilers(board)
  local both = { "gcc", "clang-14" }
  if tally.full or board.name == tally.best then return both end
  return (board.name == "generic-c99" or board.name == other) and { tally.chosen(both, board.name) } or {}
end

for _, board in ipairs(tally.boards) do
  -- generic-c99's text but for a line of msa_arith.h and one of msa_simd.h
  if board.name == "generic-c99-nofma" then goto next end
  local fw = work .. "/" .. board.name
  local function title(what) return board.name .. ": " .. what end

  tally.test(title "builds, and make needs neither msagen nor Lua", function()
    build(fw, "--board", board.name)
    if not tally.full and board.name ~= tally.best then return end
    local said = must { "env", "-i", "PATH=/usr/bin:/bin", "make", "-j2", "-C", fw }
    assert(not said:find("warning:", 1, true), said)
    local bytes = text_bytes(fw)
    assert(bytes > 0 and bytes <= 512 * 1024, bytes .. " bytes of text, expected at most 512 KiB")
    return bytes .. " bytes of text"
  end)

  for _, compiler in ipairs(compilers(board)) do
    if board.name == "x86-64-sse42" then
      tally.test(title("no instruction of AVX or FMA, whatever CFLAGS ask for, by " .. compiler), function()
        must { "make", "-B", "-j2", "-C", fw, "CC=" .. compiler, "CFLAGS=-O2 -march=native -mavx2 -mfma" }
        local found, all = avx(fw)
        assert(not found and all > 10000, found or "no disassembly")
        if tally.best ~= board.name then -- whose folder is compiled by now
          assert(avx(work .. "/" .. tally.best), tally.best .. " was found to have none either")
        end
        local loops, spilled = products(fw, 8)
        assert(loops > 3 and not spilled, spilled or "no loops of 2 x 16 sums") -- a few tiles serve all products
        return ("%d instructions, %d loops of products without a spilled sum"):format(all, loops)
      end)
    end
    tally.test(title("freestanding, without writable data and without a warning, the runner's too, by " .. compiler),
      function()
      must { "make", "-B", "-j2", "-C", fw, "libmsa_model.a", "CC=" .. compiler,
        "CFLAGS=-O2 -ffreestanding -fstack-usage " .. strict }
      must { "make", "-j2", "-C", fw, "CC=" .. compiler, "CFLAGS=-O2 " .. strict }
      local whole = fw .. "/whole.o"
      must { "ld", "-r", "-o", whole, "--whole-archive", fw .. "/libmsa_model.a" }
      for line in lines(must { "nm", "-u", whole }) do
        local symbol = line:match "%S+$"
        assert(symbol == "memcpy" or symbol == "memset" or symbol == "memmove" or symbol == "memcmp"
          or symbol == "msa_progress",
          "undefined: " .. symbol)
      end
      for line in lines(must { "size", "-A", whole }) do
        local section, bytes = line:match "^(%.%S+)%s+(%d+)"
        local writable = section and (section == ".data" or section == ".bss" or section:match "^%.bss%."
          or section:match "^%.t[db]"
          or section:match "^%.data%." and not section:match "^%.data%.rel%.ro")
        assert(not writable or bytes == "0", ("section %s holds %s bytes"):format(section or "", bytes or ""))
      end
      -- Bounded stack: no alloca, no VLA. (gcc calls a realigned frame dynamic, bounded.)
      local largest = 0
      for _, name in ipairs(sys.list(fw)) do
        if name:match "%.su$" then
          for line in lines(sys.read_file(fw .. "/" .. name)) do
            local where, bytes, kind = line:match "^(%S+)%s+(%d+)%s+(%S+)$"
            assert(kind == "static" or kind == "dynamic,bounded",
              ("%s: stack is %s"):format(where or line, kind or "?"))
            largest = math.max(largest, math.tointeger(bytes))
          end
        end
      end
      os.remove(whole)
      return largest > 0 and ("largest stack frame %d bytes"):format(largest) or nil
    end)
  end

  tally.test(title "freestanding headers only, no goto, no allocation, no recursion by name", function()
    local allowed = { ["stdint.h"] = true, ["stddef.h"] = true, ["limits.h"] = true, ["float.h"] = true,
      ["stdbool.h"] = true }
    local files = sources(fw)
    assert(#files > 5, "too few files")
    for _, name in ipairs(files) do
      local code = code_of(fw .. "/" .. name)
      for header in sys.read_file(fw .. "/" .. name):gmatch "#%s*include%s*<([^>]+)>" do
        assert(allowed[header] or header:match "intrin%.h$" or header:match "^arm_%w+%.h$",
          name .. " includes " .. header)
      end
      for _, word in ipairs { "goto", "malloc", "calloc", "realloc", "free", "alloca", "printf", "setjmp" } do
        assert(not code:find("%f[%w_]" .. word .. "%f[^%w_]"), name .. " has " .. word)
      end
    end
  end)

  tally.test(title "every layer is a documented function", function()
    local documented = 0
    for _, name in ipairs { "msa_encoder.c", "msa_decoder.c" } do
      local text = sys.read_file(fw .. "/" .. name)
      for before, fn in text:gmatch "([^\n]*)\nv?o?i?[%w_]*%s+(msa_[%w_]+)%([^;{]*%)%s*\n{" do
        if before ~= "" then
          assert(before:match "%*/%s*$", ("%s: %s has no comment before it"):format(name, fn))
          documented = documented + 1
        end
      end
    end
    assert(documented > 10, "found only " .. documented)
    return documented .. " functions"
  end)

  tally.test(title "says what it is: licence, generator, checkpoint; no date, no path", function()
    for _, name in ipairs(sources(fw)) do
      local text = sys.read_file(fw .. "/" .. name)
      assert(text:match "^/%* SPDX%-License%-Identifier: 0BSD", name .. " has no 0BSD line")
      assert(not text:find(work, 1, true) and not text:find(tally.source, 1, true),
        name .. " names a path of this machine")
      assert(not text:find("__DATE__", 1, true) and not text:find("__TIME__", 1, true), name .. " has the date")
    end
    local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
    assert(manifest.generator == "msagen" and manifest.board == board.name, "manifest.json names another board")
  end)
  ::next::
end

local fw = work .. "/" .. tally.best

tally.test("the same build elsewhere, in another locale and time zone, gives the same bytes", function()
  local first, second = work .. "/once", work .. "/elsewhere/twice"
  sys.mkdir_p(work .. "/elsewhere")
  must { tally.program, "build", tally.head, "-o", first, env = { TZ = "UTC", LC_ALL = "C" } }
  must { tally.program, "build", "checkpoint.safetensors", "-o", second, cwd = tally.demo,
    env = { TZ = "Asia/Tokyo", LC_ALL = "C.UTF-8", HOME = "/" } }
  must { "diff", "-r", first, second }
end)

tally.test("a build replaces its own output, and only that", function()
  local out = work .. "/once"
  build(out)
  must { "diff", "-r", work .. "/elsewhere/twice", out }
end)

tally.deep("a product compiles without runner/, and what make made is gone after make clean", function()
  local product = work .. "/without runner"
  build(product)
  local list, bench = sys.list(product), sys.list(product .. "/runner")
  local makes = { "make" }
  local best = tally.full and makes or { "make" } -- for all of it; another make for the product
  if pcall(sys.spawn, { "bmake", "-V", "MAKE", stdout = "/dev/null", stdin = "/dev/null" }) then makes[2] = "bmake" end
  for _, make in ipairs(best) do
    must { make, "-j2", "-C", product, "CFLAGS=-O0" }
    assert(sys.exists(product .. "/runner/msa_run"), "no test bench")
    must { make, "-C", product, "clean" }
    assert(table.concat(sys.list(product), " ") == table.concat(list, " "), "left after make clean")
    assert(table.concat(sys.list(product .. "/runner"), " ") == table.concat(bench, " "), "left in runner/")
  end
  sys.remove_tree(product .. "/runner")
  for i, make in ipairs(makes) do
    if i == #makes or tally.full then must { make, "-j2", "-C", product, "CFLAGS=-O0", "lib", "weights" } end
    assert(i < #makes or sys.exists(product .. "/libmsa_model.a"), "no library")
    must { make, "-C", product, "clean" }
  end
  for _, name in ipairs(list) do
    assert(not name:find "msa_run%f[%W]", name .. ": of the test bench, among the product's files")
    if name:match "%.[ch]$" then
      local text = sys.read_file(product .. "/" .. name)
      assert(not text:find "msa_run%f[%W]", name .. " names the test bench")
    end
  end
end)

tally.deep("the weights are assembled from any folder, by every assembler here", function()
  local out, objects = work .. "/a b/left", work .. "/objects" -- a blank in the path, and a prefix
  sys.mkdir_p(work .. "/a b")
  sys.mkdir_p(objects)
  build(out, "--prefix", "left")
  local blob, count = sys.read_file(out .. "/left_weights.bin"), 0
  local function assembles(words, ...)
    local command = table.move({ "-c", "-o", "w.o", ... }, 1, 3 + select("#", ...), #words + 1,
      table.move(words, 1, #words, 1, { cwd = objects }))
    must(command)
    local at = sys.read_file(objects .. "/w.o"):find(blob, 1, true)
    assert(at and (at - 1) % 64 == 0, ("%s: expected the blob, aligned, in the object"):format(words[1]))
    count = count + 1
  end
  for _, words in ipairs { { "gcc" }, { "clang-14" }, { "clang-14", "-fno-integrated-as" },
    { "clang-14", "--target=armv7m-none-eabi" }, { "arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb" },
    { "aarch64-linux-gnu-gcc" }, { "arm-linux-gnueabihf-gcc" } } do
    if pcall(must, { words[1], "--version" }) then
      assembles(words, out .. "/left_weights.S")
      assembles(words, "../a b/left/left_weights.S")
    end
  end
  sys.write_file(objects .. "/moved.bin", blob)
  assembles({ "gcc" }, "-ffile-prefix-map=" .. work .. "=/nowhere", '-DLEFT_WEIGHTS_FILE="moved.bin"',
    out .. "/left_weights.S")
  return count .. " objects"
end)

tally.test("the C API refuses misuse and repeats itself, under sanitizers", function()
  local picture = image.read(tally.demo .. "/image.png")
  local small = picture:slice(1, 100, 200):slice(2, 50, 300)
  local pixels = small:totable()
  local parts = {}
  for i = 1, #pixels, 4096 do
    parts[#parts + 1] = string.char(table.unpack(pixels, i, math.min(i + 4095, #pixels)))
  end
  sys.write_file(work .. "/pixels", table.concat(parts))
  local sanitizers = "-fsanitize=address,undefined -fno-sanitize-recover=all"
  local fw = work .. "/sanitized"
  build(fw)
  must { "make", "-j2", "-C", fw, "libmsa_model.a", "CFLAGS=-O1 -g " .. sanitizers }
  local api = work .. "/api"
  must { "sh", "-c", ("exec gcc -std=c11 -O1 -g %s -I'%s' -o '%s' '%s/api/api.c' '%s/libmsa_model.a' -lm"):format(
    sanitizers, fw, api, tally.tests, fw) }
  must { api, fw .. "/msa_weights.bin", "300", "200", work .. "/pixels" }
  return cases.calls(fw, tally.full and 41 or 97, tally.full and 30 or 10, sanitizers, 300) .. " sequences of calls"
end)

tally.test("bits flipped in weights and session are found where docs/safety.md says so", function()
  cases.check_faults(cases.faults(fw, 12, 3))
end)

-- What the sampled fingerprint misses, guards find: every bit that an encode leaves, and the arena's ends.
tally.test("a guarded arena: every flipped bit of what an encode leaves is found, and the results are the same",
  function()
  local out, flips, picture = work .. "/guarded", 400, { "--image", tally.demo .. "/image.png", "--point", "247,261" }
  local sampled = cases.guards(fw, flips)
  assert(sampled.kept.between.found < sampled.kept.between.flipped / 2 and not sampled.line.between,
    "a build without guards finds as much")
  local function all_found(folder)
    local found = cases.guards(folder, flips)
    for _, one in ipairs { found.kept.between, found.kept.segment, found.line.between, found.line.segment,
      found.line.encode } do
      assert(one.flipped >= 20 and one.found == one.flipped, ("%d of %d found"):format(one.found, one.flipped))
    end
    return found.kept.between.flipped
  end
  build(out, "--guards", "full")
  must { "make", "-j2", "-C", out, "CFLAGS=-O2 " .. strict }
  local count = all_found(out)
  assert(cases.digest(must { tally.program, "run", out, "--digest", table.unpack(picture) })
    == cases.interpreted(tally.best, tally.head, "--dialect", "msa-paper", table.unpack(picture)), "another digest")
  cases.calls(out, 97, 30)
  local device = tiny.device(work, "broad") -- of which more is kept
  device.board, device.guards = tally.best, "full"
  tiny.build(device, work .. "/broad")
  must { "make", "-j2", "-C", work .. "/broad", "lib", "CFLAGS=-O1" }
  local broad = all_found(work .. "/broad")
  assert(broad > count, "nothing is made ready for the decoder: the shape tests nothing")
  local streamed = work .. "/streamed"
  must(cases.build("sam-2d", cases.read "sam-2d", tally.best, streamed, "--guards", "full", "--weights", "stream",
    "--cores", "2"))
  must { "make", "-j2", "-C", streamed, "CFLAGS=-O0" }
  cases.calls(streamed, 97, 30)
  return ("%d of %d found without guards, %d of %d with them"):format(sampled.kept.between.found,
    sampled.kept.between.flipped, count + broad, count + broad)
end)

-- A tiny model of a board, its library compiled. @param more fields of the device
local function library(name, board, more)
  local device, out = tiny.device(work, "plain"), ("%s/%s-%s"):format(work, name, board)
  for field, value in pairs(more) do device[field] = value end
  device.board = board
  tiny.build(device, out)
  must { "make", "-j2", "-C", out, "lib", "CFLAGS=-O1" }
  return out
end

tally.test(tally.full and "every bit of the weights, flipped by itself, is refused" or
  "every 601st bit of the weights, flipped by itself, is refused", function()
  local opened, segments = 0, 0
  for _, fw in ipairs(tally.full and { library("bits", tally.best, {}), library("bits", "generic-c99", {}),
    library("guarded", tally.best, { guards = "full" }) } or { work .. "/broad" }) do
    local one, other = cases.bits(fw, tally.full and 1 or 601)
    opened, segments = opened + one, segments + other
  end
  return ("%d by msa_open, %d by msa_weights_check"):format(opened, segments)
end)

tally.test("arena, weights and all that a call is given lie between pages without access: no fault", function()
  local folders = { fw, work .. "/broad" }
  for _, board in ipairs(tally.full and { "generic-c99", tally.best } or { tally.best }) do
    local volume = ("%s/volume-%s"):format(work, board)
    must(cases.build("msa-paper-3d", cases.read "msa-paper-3d", board, volume))
    must { "make", "-j2", "-C", volume, "lib", "CFLAGS=-O1" }
    folders[#folders + 1] = volume
    folders[#folders + 1] = library("pages-int8", board, { precision = "int8" })
    folders[#folders + 1] = tally.full and library("pages", board, {}) or nil
  end
  for _, folder in ipairs(folders) do cases.pages(folder) end
  return #folders .. " builds"
end)

tally.test("the example in README.md is C99 and C++11, without a warning", function()
  local example = sys.read_file(tally.source .. "/README.md"):match '\n(    #include "msa_model.h".-\n    }\n)'
  assert(example, "README.md has no example")
  sys.write_file(work .. "/example.c", (example:gsub("\n    ", "\n"):gsub("^    ", "")))
  local strictly = { "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only", "-I", fw }
  for _, compiler in ipairs { { "gcc", "-std=c99" }, { "clang-14", "-std=c99" },
    { "g++", "-std=c++11", "-Wold-style-cast", "-x", "c++" },
    { "clang++-14", "-std=c++11", "-Wold-style-cast", "-x", "c++" } } do
    local command = table.move(strictly, 1, #strictly, #compiler + 1, compiler)
    command[#command + 1] = work .. "/example.c"
    must(command)
  end
end)

tally.test("the header serves C++, and tells #if its version", function()
  for _, compiler in ipairs { "clang++-14", "g++" } do
    must { compiler, "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wold-style-cast", "-Werror", "-fsyntax-only",
      "-I", fw, tally.tests .. "/api/header.cpp" }
  end
  local major, minor, patch = must({ tally.program, "--version" }):match "(%d+)%.(%d+)%.(%d+)"
  local text = sys.read_file(fw .. "/msa.h")
  assert(text:find(("#define MSA_VERSION %d\n"):format(major * 10000 + minor * 100 + patch), 1, true),
    "another version than msagen's")
end)

tally.test("comments, hook and manifest number layers alike", function()
  local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
  local count = { encode = 0, decode = 0 }
  local text = { encode = sys.read_file(fw .. "/msa_encoder.c"), decode = sys.read_file(fw .. "/msa_decoder.c") }
  for _, layer in ipairs(manifest.layers) do
    assert(layer.number == count[layer.phase], layer.name .. ": another number")
    count[layer.phase] = layer.number + 1
    assert(text[layer.phase]:find(("/* Layer %d of %s: %s.\n"):format(layer.number, layer.phase, layer.name), 1, true),
      layer.name .. ": another comment")
    local call = ("\n    msa_%s%%(arena[^\n]*\n    if %%(msa_layer_end%%(s, MSA_PHASE_%s, %d%%)%%) {\n"
      .. "        return MSA_E_CANCELLED"):format(layer.name, layer.phase:upper(), layer.number)
    local first = "= msa_" .. layer.name .. "%(arena"
    assert(text[layer.phase]:find(call) or layer.number == 0 and text[layer.phase]:find(first),
      layer.name .. ": the hook gets another number")
  end
  for phase, n in pairs(count) do
    assert(sys.read_file(fw .. "/msa_model.h"):match("MSA_MODEL_LAYERS_" .. phase:upper() .. " (%d+)") == tostring(n),
      phase .. ": another number of layers")
  end
  for _, buffer in ipairs(manifest.buffers) do
    for _, moment in ipairs { buffer.first, buffer.last } do
      local phase, number = moment:match "^(%l+) (%d+)$"
      assert(moment == "tokens" or moment == "results" or tonumber(number) < count[phase],
        buffer.name .. ": " .. moment)
    end
  end
end)

tally.deep("two models with their own prefixes live in one program", function()
  local objects = {}
  for _, prefix in ipairs { "left", "right" } do
    local out = work .. "/" .. prefix
    build(out, "--prefix", prefix)
    must { "make", "-j2", "-C", out, "CFLAGS=-O0", prefix == "left" and "all" or "lib" }
    objects[#objects + 1] = ("'%s/lib%s_model.a'"):format(out, prefix)
  end
  must { "sh", "-c", ("exec gcc -std=c99 -I'%s/left' -I'%s/right' -o '%s/two' '%s/api/two_models.c' %s"):format(
    work, work, work, tally.tests, table.concat(objects, " ")) }
  must { work .. "/two" }
  local run = must { tally.program, "run", work .. "/left", "--image", tally.demo .. "/image.png", "--point", "247,261",
    "--digest" }
  local known = cases.interpreted(tally.best, tally.head, "--dialect", "msa-paper", "--image",
    tally.demo .. "/image.png", "--point", "247,261")
  assert(cases.digest(run) == known, "the prefix changes the digest")
end)

return tally.finish()
