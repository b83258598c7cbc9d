-- SPDX-License-Identifier: Apache-2.0
-- Boards of msagen's and boards of users' own: what their files may say, in one line what they may not, and where their
-- other files lie.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local boards, tiny, verb = require "target.boards", require "tiny_model", require "cli.verbs.build"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-boards-")
sys.cleanup(work)
tiny.device(work, "plain")
local TEMPLATE = msagen.datadir .. "/boards/template/my-board.lua"
local template = sys.read_file(TEMPLATE)

--- The template with a text replaced, as a file of its own. @return its path
local function changed(from, to)
  local at, stop = template:find(from, 1, true)
  assert(at, "the template has no " .. from)
  local path = work .. "/my-board.lua"
  sys.write_file(path, template:sub(1, at - 1) .. to .. template:sub(stop + 1))
  return path
end

local function refused(from, to, ...)
  local path = changed(from, to)
  refuses(function() boards.named(path) end, path, ...)
end

describe("the template", function()
  it("is a board, and none of msagen's", function()
    local board = boards.named(TEMPLATE)
    equal({ board.name, board.isa.name, board.arithmetic, #board.memories }, { "my-board", "c99", "f32-fma-1", 3 })
    for _, other in ipairs(boards.all()) do assert(other.name ~= "my-board") end
    refuses(function() boards.named "my-board" end, "--board", "generic-c99", "my-board")
  end)

  it("shows every field that a board may have", function()
    local ok, problem = pcall(boards.named, changed("clock = ", "clocks = "))
    assert(not ok)
    local count = 0
    for field in problem.msagen:match("one of the fields (.-), found"):gmatch "[%w_]+" do
      count = count + 1
      holds(template, field .. " = ")
    end
    assert(count > 20)
    for _, field in ipairs { "address", "bandwidth", "bytes", "holds", "kind", "reserved" } do
      holds(template, field .. " = ")
    end
  end)

  it("builds as any board does", function()
    local device = tiny.device(work, "plain")
    device.board = TEMPLATE
    tiny.build(device, work .. "/template")
    local m = json.decode(sys.read_file(work .. "/template/manifest.json"), "manifest.json")
    equal({ m.board, m.hosted, m.emulator[1] }, { "my-board", false, "qemu-system-arm" })
    assert(sys.exists(work .. "/template/msa_start.c") and sys.exists(work .. "/template/msa_board.ld"))
  end)
end)

describe("a board's file is refused", function()
  it("where it is none, or no program", function()
    refuses(function() boards.named(work .. "/absent.lua") end, work .. "/absent.lua", "found none")
    refuses(function() boards.named(work .. "/") end, work, "expected a board's file, NAME.lua")
    sys.mkdir_p(work .. "/folder.lua")
    refuses(function() boards.named(work .. "/folder.lua") end, "folder.lua: expected a board's file, found a folder")
    refused("return {", "return 7, {", "expected a file that returns a table, found number")
    refused("return {", "local x = {", "expected a file that returns a table, found nothing")
    refused("return {", "error 'two\nlines' return {", "my-board.lua:")
    refused("return {", "return {{", "my-board.lua:")
    refused("hosted = false", "hosted = ('x'):rep(1 << 50)", "my-board.lua:")
    refused("hosted = false", "hosted = os.exit(3)", "my-board.lua:", "found os, which is none of its names")
    refused("return {", "while true do end return {", "my-board.lua:", "expected it to end")
    refused("return {", "local text = ('x'):rep(1 << 28) return {", "my-board.lua:",
      "expected it to take at most 256 MiB")
    sys.write_file(work .. "/my-board.lua", "\27Lua")
    refuses(function() boards.named(work .. "/my-board.lua") end, work .. "/my-board.lua: ", "binary")
  end)

  it("where a field is missing, unknown or of another kind", function()
    for _, field in ipairs { "name", "summary", "isa", "hosted", "requires", "preference", "compiler", "flags", "core",
      "caches" } do
      refused("\n  " .. field .. " = ", "\n  -- = ")
    end
    refused("  compiler = ", "  -- ", "compiler: expected a program of letters,", "found none")
    refused("compiler = ", "compilers = ", "expected one of the fields", "compiler,", "found compilers")
    refused('compiler = "arm-none-eabi-gcc"', 'compiler = "gcc\\n\\tevil"', "compiler: expected a program of letters,",
      "found gcc")
    for _, text in ipairs { "gcc; touch x", "-gcc", "@gcc", "my gcc", "$(GCC)", "gcc`id`" } do
      refused('compiler = "arm-none-eabi-gcc"', ('compiler = "%s"'):format(text),
        "compiler: expected a program of letters,", "found " .. text)
    end
    for _, text in ipairs { "-DX=a b", "-DX=$HOME", "-DX=#1", "-DX='1'", "-DX=a;b", "-DX=a*", "-DX=(1)" } do
      refused('"-mthumb"', ('"%s"'):format(text), "flags: expected a text of letters, digits and",
        "as number 2, found " .. text)
      refused('"-nostartfiles"', ('"%s"'):format(text), "link_flags: expected a text of letters, digits and",
        "as number 1, found " .. text)
    end
    refused('optimisation = "-O2"', 'optimisation = "-O2 -g $X"',
      "optimisation: expected a text of letters, digits, blanks and", "found -O2 -g $X")
    refused("hosted = false", "hosted = 0", "hosted: expected true or false, found 0")
    refused("requires = {}", "requires = { x = 1 }",
      "requires: expected a list of texts, found a table with other keys")
    refused('"-mthumb"', "7", "flags: expected a text of letters, digits and", "as number 2, found 7")
    refused("clock = 480e6", "clock = 0 / 0", "clock: expected a finite number, found NaN")
    refused("clock = 480e6", "clock = -1", "clock: expected a number above 0, found -1")
    refused("clock = 480e6", "clock = '480 MHz'", "clock: expected a number above 0, found 480 MHz")
    refused("clock = 480e6", "clock = '480e6'", "clock: expected a number above 0, found the text 480e6")
    refused("clock = 480e6", "clock = 1e300", "clock: expected a number from 1e-06 to 1e+15, found 1e+300")
    refused("fma_per_cycle = 1", "fma_per_cycle = 1e-308",
      "core: fma_per_cycle: expected a number from 1e-06 to 1e+15, found 1e-308")
    refused("issue = 1.5", "issue = {}", "core: issue: expected a number above 0, found a table")
    refused("l1 = 16 * 1024", "l1 = 16", "caches: l1: expected a whole number, at least 1024, found 16")
    refused("caches = {", "caches = 16, other = {", "expected one of the fields", "found other")
    refused("caches = { l1 = 16 * 1024, l2 = 16 * 1024 }", "caches = 16384", "caches: expected a table, found 16384")
    refused("loop = 16", "loop = math.huge", "my-board.lua")
    refused("cores = 1", "cores = 64", "cores: expected a whole number from 1 to 8, found 64")
    refused("stack = 16 * 1024", "stack = 16.5", "stack: expected a whole number from 256 to 2147483648, found 16.5")
    refused("stack = 16 * 1024", "stack = 1001", "stack: expected a multiple of 8, found 1001")
    refused('name = "my-board"', 'name = "other"', "name: expected my-board, as the file is called, found other")
    refused('name = "my-board"', 'name = "../x"', "name: expected a name of letters, digits, -, _ and ., found ../x")
  end)

  it("where its instructions are unknown, or its arithmetic is not theirs", function()
    refused('isa = "c99"', 'isa = "altivec"', "isa: expected one of", "neon", "found altivec")
    refused('isa = "c99"', 'isa = "../boards/generic-c99"', "isa: expected one of")
    refused('"f32-fma-1"', '"f16"', "arithmetic: expected f32-fma-1 or f32-muladd-1, found f16")
    local broken = changed('isa = "c99"', 'isa = "broken.lua"')
    local c99 = sys.read_file(msagen.datadir .. "/lua/target/isa/c99.lua")
    for change, why in pairs { ["width = 3"] = "width: expected 1, 2, 4, 8 or 16, found 3",
      ["registers = 1 << 40"] = "registers: expected a whole number from 4 to 256, found 1099511627776",
      ["load = nil"] = "load: expected C text, found none", ["vector = 7"] = "vector: expected C text, found 7",
        ["add = ''"] = "add: expected C text, found an empty text",
        ["fma_lane = 5"] = "fma_lane: expected C text, found 5",
      ["prelude = {}"] = "prelude: expected C text, found a table",
        ["some = 'v'"] = "load_some: expected C text beside some, found none",
        ["flushes = true"] = "flushes: expected a table, found true",
      ["flushes = { hold = 'v' }"] = "flushes: mask: expected C text, found none",
        ["fused = 'v'"] = "expected one of the fields abs, add,",
        ["include = 'a\\nb'"] = "include: expected a text in one line, found a b" } do
      sys.write_file(work .. "/broken.lua",
        (c99:gsub("  " .. change:match "%w+" .. " = [^\n]*\n", ""):gsub("}%s*$", change .. " }")))
      refuses(function() boards.named(broken) end, "broken.lua: " .. why)
    end
    sys.write_file(work .. "/broken.lua", (c99:gsub("\n  fma = ", "\n  -- ")))
    refuses(function()
      boards.named(broken)
    end, "my-board.lua: arithmetic: expected f32-muladd-1, as broken has no fused multiply-add")
  end)

  it("where its memories cannot be", function()
    refused("memories = {", "memories = {}, x = {", "expected one of the fields")
    refused("0x60000000", "0xffffffc0",
      "memories: external: bytes: expected an end within addresses of 32 bits, found 0x100ffffc0")
    refused("bytes = 16 * 1024 * 1024", "bytes = 9223372036854775807",
      "memories: number 3: bytes: expected a whole number from 1 to 140737488355328")
    refused('kind = "ram"', 'kind = "flash"',
      "memories: ram: kind: expected ram or ddr where it holds the arena, found flash")
    refused("memories = {", "memories = 3, requires = {", "memories: expected a list of memories, found 3")
    refused("memories = {", "memories = { 'ram',", "memories: number 1: expected a table, found ram")
    refused("0x60000000", "0x20100000",
      "memories: external: address: expected a place that no other memory has, found 0x20100000, which lies in ram")
    refused("0x60000000", "0x60000010", "memories: external: address: expected a multiple of 64, found 0x60000010")
    refused("address = 0x60000000, ", "",
      "memories: external: address: expected one, as the linker script needs it, found none")
    refused('"external"', '"ram"', "memories: ram: expected a name of its own, found it twice")
    for _, name in ipairs { "ORIGIN", "org", "MAX" } do
      refused('"external"', ('"%s"'):format(name),
        "memories: number 3: name: expected a name that is no word of linker scripts, found " .. name)
    end
    refused('"external"', '"to do"', "memories: number 3: name: expected a name of letters, digits and _, found to do")
    refused('holds = { "weights" }', 'holds = { "code" }', "memories: expected one that holds weights, found none")
    refused('holds = { "weights" }', "holds = {}",
      "memories: number 3: holds: expected a list of one or more texts, found an empty one")
    refused('holds = { "weights" }', 'holds = { "wait" }',
      "memories: number 3: holds: expected arena, weights or code as number 1, found wait")
    refused("reserved = 64 * 1024", "reserved = 64 << 20",
      "memories: ram: reserved: expected at most its 4194304 bytes, found 67108864")
    refused("bandwidth = 133e6", "bandwidth = 0", "memories: number 3: bandwidth: expected a number above 0, found 0")
    refused('kind = "ram"', 'kind = "rom"', "kind: expected ram, flash or ddr, found rom")
  end)

  it("where what it starts with is not there, or not wanted", function()
    refused('"msa_board.ld", product', '"other.ld", product',
      "start: script: expected a file of the folder cortex-m, found no other.ld")
    refused('"msa_memory",', '"msa_absent",',
      "start: product: expected a file of the folder cortex-m, found no msa_absent.c")
    refused('folder = "cortex-m"', 'folder = "../cortex-m"',
      "start: folder: expected a name of letters, digits, -, _ and ., found ../cortex-m")
    for _, script in ipairs { "msa_start.c", "Makefile", "manifest.json" } do
      refused('"msa_board.ld", product', ('"%s", product'):format(script),
        "start: script: expected a linker script's name, NAME.ld, found " .. script)
    end
    refused('{ "msa_semihosting" }', '{ "msa_start" }',
      "start: runner: expected each file once, found msa_start.c twice")
    refused("hosted = false", "hosted = true", "start: expected none where hosted = true")
    refused("stack = 16 * 1024,", "", "stack: expected it beside start")
    sys.mkdir_p(work .. "/cortex-m")
    sys.write_file(work .. "/cortex-m/msa_model.c", "")
    local device = tiny.device(work, "plain")
    device.board = changed('"msa_memory",', '"msa_model",')
    refuses(function() tiny.build(device, work .. "/clash") end, device.board .. ": start", "found msa_model.c")
    sys.write_file(work .. "/cortex-m/msa_weights.c", "")
    device.board = changed('"msa_memory",', '"msa_weights",')
    refuses(function() tiny.build(device, work .. "/clash") end, device.board .. ": start", "found msa_weights.c")
    sys.write_file(work .. "/cortex-m/msa_board.ld", "ENTRY(msa_reset)\n$(board.nothing.there)\n")
    device.board = changed("clock = 480e6", "clock = 400e6")
    refuses(function() tiny.build(device, work .. "/clash") end, work .. "/cortex-m/msa_board.ld:2: ", "nothing")
    for text, why in pairs { ["@ os.exit(3)"] = ":1: ", ["@ io.open 'x'"] = ":1: ",
      ["@ error {}"] = ": expected an error's text, found a table",
      ["@ while true do end"] = ":1: expected it to end" } do
      sys.write_file(work .. "/cortex-m/msa_board.ld", text)
      refuses(function() tiny.build(device, work .. "/clash") end, work .. "/cortex-m/msa_board.ld" .. why)
    end
    sys.remove_tree(work .. "/cortex-m/msa_board.ld")
    sys.mkdir_p(work .. "/cortex-m/msa_board.ld")
    tiny.build(device, work .. "/msagen-s")
    holds(sys.read_file(work .. "/msagen-s/msa_board.ld"), "where things lie on my-board")
    sys.remove_tree(work .. "/cortex-m")
  end)
end)

describe("a board of one's own", function()
  it("that is like another one keeps its emulator only where that machine can run it", function()
    local path = work .. "/mine.lua"
    local function mine(text)
      sys.write_file(path, ('return { name = "mine", %s }'):format(text))
      return boards.from_file(path)
    end
    local near = [[{
      { name = "code", address = 0x00000000, bytes = 65536, kind = "flash", holds = { "code" }, bandwidth = 1e9 },
      { name = "sram", address = 0x20010000, bytes = 2097152, kind = "ram", holds = { "arena" }, bandwidth = 1e9,
        reserved = 65536 },
      { name = "external", address = 0x60000000, bytes = 8388608, kind = "flash", holds = { "weights" },
        bandwidth = 1e8 } }]]
    for text, why in pairs {
      [('like = "cortex-m7", memories = %s'):format(near)] = false,
      ['like = "cortex-m7", clock = 6e8, stack = 8192'] = false,
      ['like = "cortex-m7", flags = { "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard", '
      .. '"-O3" }'] = false,
      [('like = "cortex-m7", memories = %s'):format((near:gsub("0x00000000",
        "0x08000000")))] = "memory code is at 0x08000000, 65536 bytes, where that machine has none",
      [('like = "cortex-m7", memories = %s'):format((near:gsub("8388608",
        "33554432")))] = "memory external is at 0x60000000, 33554432 bytes",
      ['like = "cortex-m7", flags = { "-mcpu=cortex-m33", "-mthumb" }'] = "compiled with -mcpu=cortex-m33",
      ['like = "cortex-a53", flags = { "-march=armv8.2-a+dotprod" }'] = "compiled with -march=armv8.2-a+dotprod",
      ['like = "x86-64-avx2", requires = { "avx2", "fma", "avx512f" }'] = "need not have avx512f",
    } do
      local board = mine(text)
      equal(board.emulator == nil, why ~= false, text)
      if why then holds(board.emulator_lost, text:match 'like = "([^"]*)', why) else equal(board.emulator_lost, nil,
        text) end
    end
    local named = mine(('like = "cortex-m7", emulator = { "my-qemu", "{program}" }, memories = %s'):format(
      (near:gsub("0x00000000", "0x08000000"))))
    equal({ named.emulator, named.emulator_lost }, { { "my-qemu", "{program}" }, nil })
    mine(('like = "cortex-m7", memories = %s'):format((near:gsub("0x00000000", "0x08000000"))))
    local status, said = sys.spawn { tiny.program(), "boards", path, stdin = "/dev/null", stdout = "capture",
      stderr = "capture" }
    equal(status, 0)
    holds(said, "msagen: warning: mine: like cortex-m7, but not run by its emulator, as memory code is at 0x08000000",
      "on the board only")
  end)

  it("may be like one of msagen's, and drop what that one has", function()
    local path = work .. "/mine.lua"
    sys.write_file(path, 'return { name = "mine", like = "cortex-m7", clock = 600e6, emulator = false, summary = '
      .. '"mine" }')
    local mine, m7 = boards.named(path), boards.named "cortex-m7"
    equal({ mine.name, mine.clock, mine.emulator, mine.hosted, mine.compiler, mine.caches, mine.memories },
      { "mine", 600e6, nil, false, m7.compiler, m7.caches, m7.memories })
    equal(m7.clock, 480e6)
    sys.write_file(path, 'return { name = "mine", like = "pdp-11" }')
    refuses(function() boards.named(path) end, path, "like: expected one of", "cortex-m7", "found pdp-11")
    sys.write_file(path, 'return { name = "mine", like = {} }')
    refuses(function() boards.named(path) end, path, "like: expected one of", "found a table")
  end)

  it("is not like one that is like itself", function()
    local own = msagen.datadir
    sys.mkdir_p(work .. "/data/boards")
    msagen.datadir = work .. "/data"
    sys.write_file(work .. "/data/boards/one.lua", 'return { name = "one", like = "two" }')
    sys.write_file(work .. "/data/boards/two.lua", 'return { name = "two", like = "one" }')
    local ok, problem = pcall(function()
      refuses(function()
        boards.named "one"
      end, "boards/one.lua: like: expected a board that is not like this one, found two")
      sys.write_file(work .. "/three.lua", 'return { name = "three", like = "one" }')
      refuses(function()
        boards.named(work .. "/three.lua")
      end, "boards/two.lua: like: expected a board that is not like this one, found one")
    end)
    msagen.datadir = own
    if not ok then error(problem, 0) end
  end)

  it("brings its own linker script, start-up file and instruction set; the rest are msagen's", function()
    sys.mkdir_p(work .. "/own/cortex-m")
    sys.write_file(work .. "/own/own.lua", 'return { name = "own", like = "cortex-m7", isa = "slow.lua" }')
    sys.write_file(work .. "/own/slow.lua", sys.read_file(msagen.datadir .. "/lua/target/isa/c99.lua"))
    sys.write_file(work .. "/own/cortex-m/msa_start.c", "/* mine */\n")
    local device = tiny.device(work, "plain")
    device.board = work .. "/own/own.lua"
    local build = tiny.build(device, work .. "/own-fw")
    equal({ build.board.isa.name, sys.read_file(work .. "/own-fw/msa_start.c") }, { "slow", "/* mine */\n" })
    equal(sys.read_file(work .. "/own-fw/msa_memory.c"),
      sys.read_file(msagen.datadir .. "/boards/cortex-m/msa_memory.c"))
    holds(sys.read_file(work .. "/own-fw/msa_board.ld"), "where things lie on own")
  end)

  it("has each thing in the first memory with room for it, as it is planned, or in the first that may hold it",
    function()
    local device = tiny.device(work, "plain")
    local function built(small, large)
      sys.write_file(work .. "/two.lua", ([[return { name = "two", like = "cortex-m7", memories = {
        { name = "flash", address = 0x08000000, bytes = 2 << 20, kind = "flash", holds = { "code" }, bandwidth = 4e8 },
        { name = "dtcm", address = 0x20000000, bytes = %d << 10, kind = "ram", holds = { "arena" }, bandwidth = 4e9 },
        { name = "axi", address = 0x24000000, bytes = %d << 10, kind = "ram", holds = { "arena" }, bandwidth = 2e9,
          reserved = 64 },
        { name = "external", address = 0x90000000, bytes = 16 << 20, kind = "flash", holds = { "weights" },
          bandwidth = 1e8 } } }]]):format(small, large))
      device.board = work .. "/two.lua"
      local build = tiny.build(device, work .. "/two-fw")
      return sys.read_file(work .. "/two-fw/msa_board.ld"),
        require("estimate.placement").on(build.board, build).arena.name
    end
    for _, try in ipairs { { 16, 1024, "axi" }, { 1024, 1024, "dtcm" }, { 16, 16, "dtcm" } } do
      local text, planned = built(try[1], try[2])
      equal(planned, try[3])
      equal({ text:match "%.bss %(NOLOAD%).-} > (%w+)", text:match "%.stack %(NOLOAD%).-} > (%w+)",
        text:match "%.data :.-} > (%w+) AT > (%w+)" }, { try[3], try[3], try[3], "flash" })
      holds(text, "msa_heap_end = ORIGIN(" .. try[3] .. ")")
    end
  end)

  it("has memories of any size in its linker script", function()
    local device = tiny.device(work, "plain")
    -- the second is a float, as Lua has it
    for bytes, length in pairs { ["4 * 1024 * 1024 + 64"] = "4194368", ["2 ^ 22"] = "4096K" } do
      device.board = changed("bytes = 4 * 1024 * 1024", "bytes = " .. bytes)
      tiny.build(device, work .. "/placed")
      holds(sys.read_file(work .. "/placed/msa_board.ld"), "ORIGIN = 0x00000000, LENGTH = " .. length .. "\n")
    end
  end)

  it("is compiled with what its vectors need, whatever its own flags say", function()
    sys.write_file(work .. "/m85.lua", [[return { name = "m85", like = "cortex-m55",
      flags = { "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-ffreestanding", "-ftree-vectorize" } }]])
    local device = tiny.device(work, "plain")
    device.board = work .. "/m85.lua"
    tiny.build(device, work .. "/m85-fw")
    holds(sys.read_file(work .. "/m85-fw/Makefile"),
      "-ffreestanding -ftree-vectorize -fno-tree-vectorize -fno-tree-slp-vectorize\n")
    equal(boards.named(work .. "/m85.lua").flags, { "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-ffreestanding",
      "-ftree-vectorize", "-fno-tree-vectorize", "-fno-tree-slp-vectorize" })
  end)

  it("is named in a build script by a path from there, or is a table in it", function()
    local count = 0
    local function build(board)
      count = count + 1
      local script, out = ("%s/script-%d.lua"):format(work, count), ("%s/out-%d"):format(work, count)
      sys.write_file(script,
        ('local function device(board) return msagen.device { checkpoint = "plain.safetensors", dialect = "sam", '
        .. 'decoder_heads = 4, global_blocks = { 1 }, board = board } end\nreturn %s'):format(board))
      equal(tiny.quietly(verb.run, { input = script, output = out }), 0)
      return out
    end
    local function board_of(dir) return json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json").board end
    equal(board_of(build 'device "own/own.lua"'), "own")
    sys.mkdir_p(work .. "/theirs")
    sys.write_file(work .. "/theirs/start.c", "/* theirs */\n")
    sys.write_file(work .. "/theirs/x.ld", "/* $(board.name) */\n")
    local out = build [[device { name = "here", like = "cortex-m7",
      start = { folder = "theirs", script = "x.ld", product = { "start" }, runner = {} } }]]
    equal({ board_of(out), sys.read_file(out .. "/start.c"), sys.read_file(out .. "/x.ld") },
      { "here", "/* theirs */\n", "/* here */\n" })
    local three = build '{ device "own/own.lua", device { name = "here", like = "generic-c99" }, device "generic-c99" }'
    equal(sys.list(three), { "generic-c99", "here", "own" })
    refuses(function()
      build 'device { name = "here", like = "generic-c99", clock = "fast" }'
    end, "script-4.lua: board: clock: expected a number above 0, found fast")
    refuses(function() build 'device "own/absent.lua"' end, "own/absent.lua: expected a board's file, found none")
  end)
end)

describe("a name that is no board's", function()
  it("is refused with the nearest, by name or by the chips that a summary names", function()
    for wrong, name in pairs { ["cortex-m8"] = false, cortexm7 = "cortex-m7", ["x86_64_avx2"] = "x86-64-avx2",
      stm32h7 = "cortex-m7", STM32H743 = "cortex-m7", imx8m = false,
      ["i.MX8M"] = "cortex-a53", tensorflow = false } do
      local hint = boards.hint(wrong)
      if name then equal(hint, (" (did you mean %s?)"):format(name), wrong) else assert(not hint:find "x86", hint) end
      refuses(function() boards.named(wrong) end, "--board: expected one of cortex-a53", "found " .. wrong, name or "")
    end
  end)

  it("is refused as the one that a board is like, and as an instruction set", function()
    refuses(function() boards.named({ like = "cortex-m77" }, "up.lua") end, "up.lua: like", "did you mean cortex-m7?")
    refuses(function()
      boards.named({ like = "cortex-m7", name = "up", isa = "avx22" }, "up.lua")
    end, "up.lua: isa", "did you mean avx2?")
  end)
end)
