-- SPDX-License-Identifier: Apache-2.0
-- Boards that have an emulator: listed with it, one of them with two cores; of those that this CPU does not run, clean
-- and freestanding code.
-- Golden cases on them: check_boards.lua.
local sys = require "msagen.sys"
local cases = require "cases"
local tally = require "tally"
local must = tally.must

local work = tally.folder "boards"
local strict = "-Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror"
local CASE = "sam-2d-exact-windows"
local case, prompts = cases.read(CASE), work .. "/prompts.json"
sys.write_file(prompts, cases.prompts(CASE, case))
local running = { "--image", ("%s/%s/image.npy"):format(cases.folder, CASE), "--prompts", prompts, "--digest" }

local function build(board, ...)
  local fw = ("%s/%s"):format(work, table.concat({ board, ... }))
  must(cases.build(CASE, case, board, fw, ...))
  return fw
end

local function run(fw)
  return { tally.program, "run", fw, table.unpack(running) }
end

local listed = must { tally.program, "boards" }
local seen, shared = {} -- instruction sets; whether one was run with two cores
for _, emulated in ipairs(tally.emulated) do
  local board, name = emulated.board, emulated.name
  tally.test(name .. " is listed with where it runs", function()
    local line = ("\n" .. listed):match("\n(" .. name:gsub("%-", "%%-") .. " [^\n]*)")
    assert(line and (line .. " "):find(emulated.native and " here " or "under " .. board.emulator[1], 1, true), line
      or "no line")
  end)
  if emulated.missing then
    tally.skip(name, emulated.missing)
  elseif not emulated.native and not seen[board.isa.name] then
    seen[board.isa.name] = true
    -- One of them has two cores: what is compiled here is run as well.
    local fw = build(name, table.unpack(shared and {} or { "--cores", "2" }))
    local tools = board.compiler:match "^(.*)gcc$"
    tally.test(name .. ": no warning, nothing undefined but memory functions and hooks, weights as an object",
      function()
      must { "make", "-B", "-j2", "-C", fw, "CFLAGS=-O1 -ffreestanding " .. strict, "libmsa_model.a", "msa_weights.o" }
      must { tools .. "ld", "-r", "-o", fw .. "/whole.o", "--whole-archive", fw .. "/libmsa_model.a",
        fw .. "/msa_weights.o" }
      for line in must { tools .. "nm", "-u", fw .. "/whole.o" }:gmatch "[^\n]+" do
        local symbol = line:match "%S+$"
        assert(symbol:match "^mem%l+$" or symbol == "msa_progress" or symbol:match "^msa_cores_%l+$",
          "undefined: " .. symbol)
      end
    end)
    if not shared then
      shared = true
      tally.test(("%s on %s, two cores"):format(CASE, name), function()
        assert(cases.digest(must(run(fw))) == cases.known(CASE, name), "another digest than golden/digests.json")
      end)
    end
  end
end

local known = {}
for _, emulated in ipairs(tally.emulated) do known[emulated.name] = not emulated.missing and emulated.board end
local wide, atom = known["x86-64-avx2"], known["x86-64-sse42"]
if wide and atom then
  tally.test("the emulator of x86-64-sse42 knows no AVX: it refuses what x86-64-avx2 was built for", function()
    local fw = build(wide.name)
    must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    cases.emulate(fw)
    local manifest, count = sys.read_file(fw .. "/manifest.json"):gsub(wide.emulator[3]:gsub("%p", "%%%0"),
      atom.emulator[3])
    assert(count == 1, "manifest.json does not name " .. wide.emulator[3])
    sys.write_file(fw .. "/manifest.json", manifest)
    local command = run(fw)
    command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
    local status, output = sys.spawn(command)
    assert(status == 1 and output:find("this CPU lacks an instruction of the board's", 1, true), output)
  end)
end
return tally.finish()
