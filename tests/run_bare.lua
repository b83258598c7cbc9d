-- SPDX-License-Identifier: Apache-2.0
-- Boards without an operating system, under their emulators: the demo's digest and mask, a product linked with nothing
-- but the generated folder, and its stack.
local sys = require "msagen.sys"
local json = require "msagen.json"
local cases = require "cases"
local tally = require "tally"
local boards = require "target.boards"
local must = tally.must

local work = tally.folder "bare"
local demo = { "--image", tally.demo .. "/image.png", "--point", "247,261", "--digest" }
local model = { tally.head, "--dialect", "msa-paper" }
local here, expected = work .. "/here", nil -- the workstation's build of the demo, and its digest

local function command(first, rest)
  return table.move(rest, 1, #rest, #first + 1, first)
end

local function lines(text)
  return text:gmatch "[^\n]+"
end

local function missing(board)
  for _, program in ipairs { board.emulator[1], board.compiler } do
    if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null",
      stderr = "/dev/null" }) then
      return "there is no " .. program
    end
  end
end

local function build(fw, board, options)
  must(command({ tally.program, "build", "-o", fw, "--board", board }, options))
  return fw
end

--- Run a command that must fail with one line that says so. @param warned what the line before it says, if there is one
local function refused(words, why, warned)
  words.stdin, words.stdout, words.stderr = "/dev/null", "capture", "capture"
  local status, output = sys.spawn(words)
  if warned then
    assert(output:match "^msagen: warning: [^\n]+\n" and output:find(warned, 1, true), output)
    output = output:gsub("^[^\n]+\n", "")
  end
  assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(why, 1, true), output)
end

--- What is undefined in the objects, linked into one.
local function undefined(board, fw, files)
  local whole = fw .. "/whole.o"
  local tools = board.compiler:match "^(.*)gcc$"
  must(command({ tools .. "ld", "-r", "-o", whole, "--whole-archive" }, files))
  local list = {}
  for line in lines(must { tools .. "nm", "-u", whole }) do list[#list + 1] = line:match "%S+$" end
  os.remove(whole)
  return list
end

--- The deepest stack below each function, from the call graphs and frames that gcc writes (-fcallgraph-info=su; of
-- functions that it has made one it writes only one, unless told to keep them: -fno-ipa-icf).
local function deepest(fw)
  local frames, calls = {}, {}
  for _, name in ipairs(sys.list(fw)) do
    if name:match "%.ci$" then
      for line in lines(sys.read_file(fw .. "/" .. name)) do
        local title, bytes, kind = line:match '^node: { title: "([^"]+)".-\\n(%d+) bytes %(([^)]+)%)'
        if title then
          assert(kind == "static", title .. ": the stack is " .. kind)
          frames[title] = math.tointeger(bytes)
        end
        local from, to = line:match '^edge: { sourcename: "([^"]+)" targetname: "([^"]+)"'
        if from then
          assert(to ~= "__indirect_call", from .. " calls through a pointer")
          calls[from] = calls[from] or {}
          calls[from][to] = true
        end
      end
    end
  end
  local known, open = {}, {}
  local function depth(name)
    if known[name] then return known[name] end
    assert(not open[name], name .. " calls itself")
    assert(frames[name], name .. " has no frame size")
    open[name] = true
    local below = 0
    for callee in pairs(calls[name] or {}) do below = math.max(below, depth(callee)) end
    open[name], known[name] = nil, frames[name] + below
    return known[name]
  end
  return depth
end

-- Stack, and instructions at most, as the bundle of evidence has them.
local function measured(fw)
  local folder, room = require("run.folder").open(fw), work .. "/sizes"
  local of, texts = require("evidence.text").read(folder), {}
  for i, file in ipairs(of.files) do texts[i] = sys.read_file(folder:file(file)) end
  sys.mkdir_p(room)
  local report = require("report.sizes").measure(folder, room, nil, nil, true)
  local list = require("evidence.instructions").of(of, texts, report)
  sys.remove_tree(room)
  return { stack = report.stack, instructions = list }
end

-- What the emulator has counted is no more than the bound, and the bound is near where nothing but rare work, which
-- this run has not, is in it: tiles that are computed once more where a result was subnormal. @return words
local function few_instructions(board, output, list)
  local ticks, told = {}, {}
  for entry, number in output:gmatch "ticks (%S+) (%d+)\n" do ticks[entry] = math.tointeger(tonumber(number)) end
  local tick = 2000000 / ticks.turns -- two instructions a turn
  assert(tick > 20 and tick < 60, output)
  local message = "%s: %.0f instructions, %d computed"
  for _, one in ipairs(list) do
    local counted = ticks[one.entry:gsub("^msa_", "")]
    if counted then
      local ratio = one.most / (counted * tick)
      assert(ratio >= 1, message:format(one.entry, counted * tick, one.most))
      local rare = board.isa.flushes or one.entry ~= "msa_encode" and one.entry ~= "msa_segment"
      assert(rare or ratio < 1.2, message:format(one.entry, counted * tick, one.most))
      told[#told + 1] = ("%s %.0f instructions, at most %.2f times as many"):format(one.entry:gsub("^msa_", ""),
        counted * tick, ratio)
    end
  end
  assert(#told == 5, output)
  return told
end

for _, board in ipairs(boards.all()) do
  local name = board.name
  local why = not board.hosted and board.emulator and missing(board)
  if why then tally.skip(name, why)
  elseif not board.hosted and board.emulator then
    local fw = work .. "/" .. name

    tally.test(name .. ": the demo has the workstation's digest and mask, in a folder whose name has a blank, a comma "
      .. "and a percent sign", function()
      local odd = work .. "/a b,c%20" .. name
      build(odd, name, model)
      local masks = { work .. "/mask, bare.png", work .. "/mask.png" }
      local got = cases.digest(must(command({ tally.program, "run", odd, "--mask-out", masks[1] }, demo)))
      expected = expected or cases.digest(must(command({ tally.program, "run", build(here, tally.best, model),
        "--mask-out", masks[2] }, demo)))
      assert(got == expected, "another digest than " .. tally.best)
      must { "cmp", masks[1], masks[2] }
      must { "cp", "-r", odd, fw }
    end)

    tally.test(name .. ": a result that cannot be written is an error in one line", function()
      refused(command({ tally.program, "run", fw, "--out", fw .. "/manifest.json/x" }, demo), fw .. "/manifest.json/x")
    end)

    tally.test(name .. ": more cores than it has, and running without an emulator, are refused", function()
      refused(command({ tally.program, "build", "-o", work .. "/cores", "--board", name, "--cores",
        tostring(board.cores + 1) }, model), ("--cores: expected at most %d on %s, found %d"):format(board.cores, name,
        board.cores + 1))
      local manifest = sys.read_file(fw .. "/manifest.json")
      sys.write_file(fw .. "/manifest.json", (manifest:gsub('"emulator": %b[]', '"emulator": null')))
      refused(command({ tally.program, "run", fw }, demo), "expected a board with an emulator, found " .. name)
      sys.write_file(fw .. "/manifest.json", manifest)
    end)

    tally.test(name .. ": an image that is too large for the board's memory is an error in one line", function()
      local large = work .. "/large.npy"
      require("msagen.npy").write(large, require("msagen.tensor").zeros({ 1500, 1500, 3 }, "u8"))
      refused({ tally.program, "run", fw, "--image", large, "--point", "3,4", "--digest" },
        "expected room beside the arena for the test bench, which has the image: 6750128 bytes of memory: "
          .. "not to be had")
    end)

    tally.test(name .. ": no warning, and nothing undefined but memory functions; nothing at all with start-up code "
      .. "but main and the linker script's names", function()
      -- the compiler's own: no C library is needed
      local headers = must { board.compiler, "-print-file-name=include" }:match "[^\n]+"
      local flags = "CFLAGS=" .. (board.optimisation or "-O2") .. " -nostdinc -isystem " .. headers .. " -isystem "
        .. headers .. "-fixed -Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror -fcallgraph-info=su -fno-ipa-icf"
      must { "make", "-B", "-j2", "-C", fw, flags, "lib", "start", "weights" }
      for _, symbol in ipairs(undefined(board, fw, { fw .. "/libmsa_model.a", fw .. "/msa_weights.o" })) do
        assert(symbol == "memcpy" or symbol == "memset" or symbol == "memmove" or symbol == "memcmp",
          "undefined: " .. symbol)
      end
      local files = { fw .. "/libmsa_model.a", fw .. "/msa_weights.o" }
      for _, object in ipairs(board.start.product) do files[#files + 1] = fw .. "/" .. object .. ".o" end
      local script = sys.read_file(fw .. "/" .. board.start.script)
      for _, symbol in ipairs(undefined(board, fw, files)) do
        assert(symbol == "main" or script:find(symbol .. " =", 1, true), "undefined: " .. symbol)
      end
      for line in lines(must(command({ board.compiler:match "^(.*)gcc$" .. "objdump", "-d" }, files))) do
        assert(not line:find "%sbkpt%s", "semihosting in the product: " .. line)
      end
    end)

    tally.test(name .. ": a product of generated files alone, without any library, computes the same, however its data "
      .. "was before it started; interrupts reach it; no stack is deeper, and no more instructions run, than computed",
      function()
      must { "make", "-C", here, "weights" }
      must { "cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-I", here, "-o", work .. "/product-here",
        tally.tests .. "/api/bare.c", here .. "/msa_weights.o", here .. "/libmsa_model.a" }
      local crc = must { work .. "/product-here" }:match "^0x%x+u"
      local program = work .. "/product"
      local link = { board.compiler, "-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror",
        "-DEXPECTED=" .. crc, "-I", fw, "-nostdlib", "-T", fw .. "/" .. board.start.script, "-o", program,
        tally.tests .. "/api/bare.c" }
      command(link, board.flags)
      for _, object in ipairs(board.start.product) do link[#link + 1] = fw .. "/" .. object .. ".o" end
      must(command(link, { fw .. "/msa_weights.o", fw .. "/libmsa_model.a" }))
      local emulator = { board.emulator[1], "-icount", "shift=0" } -- its clock goes by instructions
      for i = 2, #board.emulator do
        emulator[i + 2] = board.emulator[i]:gsub("{(%l+)}", { program = program, arguments = "" })
      end
      local output, told, used, bound = must(emulator), {}, {}, {}
      local static = measured(fw)
      for _, text in ipairs(few_instructions(board, output, static.instructions)) do told[#told + 1] = text end
      for entry, bytes in output:gmatch "stack (%S+) (%d+)\n" do
        used["msa_" .. entry] = math.tointeger(tonumber(bytes))
      end
      for _, entry in ipairs(static.stack) do bound[entry.entry] = entry.bytes end
      local depth, most = deepest(fw), 0
      for _, entry in ipairs { "msa_open", "msa_self_test", "msa_encode", "msa_segment", "msa_upsample_row" } do
        local bytes = assert(used[entry], output)
        for _, least in ipairs { depth(entry), bound[entry] } do
          assert(bytes <= least, ("%s: %d bytes used, %d computed"):format(entry, bytes, least))
          assert(entry == "msa_upsample_row" or least <= 1.5 * bytes,
            ("%s: %d bytes computed, only %d used"):format(entry, least, bytes))
          most = math.max(most, least)
        end
        told[#told + 1] = ("%s %d of %d"):format(entry:gsub("^msa_", ""), bytes, bound[entry])
      end
      assert(most + 1024 <= board.stack, ("%d bytes of stack are not enough for %d"):format(board.stack, most))
      return table.concat(told, ", ") .. " bytes"
    end)

    tally.test(name .. ": each thing lies in its memory", function()
      local tools = board.compiler:match "^(.*)gcc$"
      local where = {}
      for _, memory in ipairs(board.memories) do for _, what in ipairs(memory.holds) do where[what] = where[what]
        or memory end end
      local section = {}
      for line in lines(must { tools .. "readelf", "-SW", work .. "/product" }) do
        local what, address, bytes = line:match "%] (%.%S+)%s+%u+%s+(%x+) %x+ (%x+)"
        if what then section[what] = { at = tonumber(address, 16), bytes = tonumber(bytes, 16) } end
      end
      assert(section[".vectors"].at == where.code.address and section[".vectors"].bytes == 4 * 17,
        "the vector table is not where the processor looks")
      for what, memory in pairs { [".weights"] = where.weights, [".text"] = where.code, [".stack"] = where.arena,
        [".bss"] = where.arena } do
        local s = section[what]
        assert(s and s.bytes > 0 and s.at >= memory.address and s.at + s.bytes <= memory.address + memory.bytes,
          what .. " is not in " .. memory.name)
      end
      local segments = 0
      for line in lines(must { tools .. "readelf", "-lW", work .. "/product" }) do
        local at, bytes = line:match "^  LOAD%s+%S+ %S+ 0x(%x+) %S+ 0x(%x+)"
        if at then
          local first, inside = tonumber(at, 16), false
          for _, memory in ipairs(board.memories) do
            inside = inside or first >= memory.address and first + tonumber(bytes, 16) <= memory.address + memory.bytes
          end
          assert(inside, "loaded where there is no memory:" .. line)
          segments = segments + 1
        end
      end
      assert(segments >= 4, segments)
      assert(section[".weights"].bytes == sys.size(fw .. "/msa_weights.bin"), "the weights have another size")
    end)

    tally.test(name .. ": weights too large for their memory are refused", function()
      local small = work .. "/small-" .. name
      must { "cp", "-rp", fw, small }
      local path = small .. "/" .. board.start.script
      sys.write_file(path, (sys.read_file(path):gsub("(external[^\n]*LENGTH = )%d+K", "%18192K")))
      refused(command({ tally.program, "run", small, "--modified" }, demo), "region `external' overflowed by ",
        board.start.script .. ": not what msagen wrote")
    end)

    tally.test(name .. ": memory too small for stack and arena, and code that begins where no vector table may, "
      .. "are refused", function()
      local path, text = work .. "/other.ld", sys.read_file(fw .. "/" .. board.start.script)
      local link = { board.compiler, "-std=c99", "-O1", "-DEXPECTED=0", "-I", fw, "-nostdlib", "-T", path, "-o",
        work .. "/none", tally.tests .. "/api/bare.c", stdin = "/dev/null", stdout = "capture", stderr = "capture" }
      command(link, board.flags)
      for _, object in ipairs { "msa_start.o", "msa_memory.o", "msa_weights.o", "libmsa_model.a" } do
        link[#link + 1] = fw .. "/" .. object
      end
      for thing, change in pairs { arena = { "LENGTH = ", "256K", "' overflowed by " },
        code = { "ORIGIN = ", "0x00000040", " begins where no vector table may" } } do
        local memory
        for _, one in ipairs(board.memories) do for _, what in ipairs(one.holds) do memory = memory or what == thing
          and one.name end end
        local other, count = text:gsub("(\n    " .. memory .. " [^\n]*" .. change[1] .. ")%w+", "%1" .. change[2])
        assert(count == 1, memory)
        sys.write_file(path, other)
        local status, output = sys.spawn(link)
        assert(status ~= 0 and output:find(memory .. change[3], 1, true), output)
      end
    end)
  end
end
return tally.finish()
