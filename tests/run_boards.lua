-- SPDX-License-Identifier: Apache-2.0
-- Boards that have an emulator, under it even where this CPU runs them: golden cases with the digest of another board of the same class of arithmetic
-- that this CPU runs, one of them with two cores; of those that it does not run, clean and freestanding code.
-- luahost run_boards.lua [CASE-PREFIX...]: other cases than the two usual ones ("" is all).
local sys = require "msagen.sys"
local boards = require "boards"
local cases = require "cases"
local tally = require "tally"
local must = tally.must

local work = tally.folder "boards"
local strict = "-Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror"
local chosen = {}
for _, prefix in ipairs(#arg > 0 and arg or { "msa-2023-2d-trainer", "msa-2025-3d-no-chunk" }) do
  for _, name in ipairs(sys.list(cases.folder)) do
    if name:sub(1, #prefix) == prefix and sys.exists(("%s/%s/checkpoint.pth"):format(cases.folder, name)) then chosen[#chosen + 1] = name end
  end
end
assert(#chosen > 0, "no such case")

local function digest(name, board, emulated, ...)
  local case, prompts = cases.read(name), work .. "/prompts.json"
  local fw = ("%s/%s-%s"):format(work, name, table.concat({ board, emulated and "-emulated" or "", ... }))
  must(cases.build(name, case, board, fw, ...))
  sys.write_file(prompts, cases.prompts(name, case))
  must { "make", "-j2", "-C", fw }
  if emulated then
    -- `run` takes the emulator where this CPU lacks something that the manifest asks for.
    local manifest, count = sys.read_file(fw .. "/manifest.json"):gsub('("requires":%s*%[)(%s*"?)', function(head, next) return head .. '"what no CPU has"' .. (next:find '"' and "," or "") .. next end)
    assert(count == 1, "manifest.json does not say what the board requires")
    sys.write_file(fw .. "/manifest.json", manifest)
  end
  return cases.digest(must { tally.program, "run", fw, "--image", ("%s/%s/image.npy"):format(cases.folder, name), "--prompts", prompts, "--digest" }), fw
end

--- The fastest other board of a board's class that this CPU runs.
local function partner(board)
  local best
  for _, other in ipairs(boards.all()) do
    if other.name ~= board.name and other.arithmetic == board.arithmetic and boards.native(other) and (not best or other.preference > best.preference) then best = other end
  end
  return assert(best, "no other board of its class runs here").name
end

--- The digest that a case must have on a board, and whose it is.
local expected = {}
local function reference(case, board)
  local other = partner(board)
  local key = case .. " " .. other
  expected[key] = expected[key] or (digest(case, other))
  return expected[key], other
end

local listed = must { tally.program, "boards" }
local seen, folders = {}, {} -- instruction sets; the last build of a board
for i, emulated in ipairs(tally.emulated) do
  local board, name = emulated.board, emulated.name
  tally.test(name .. " is listed with where it runs", function()
    local line = ("\n" .. listed):match("\n(" .. name:gsub("%-", "%%-") .. " [^\n]*)")
    assert(line and line:find(emulated.native and " here " or "under " .. board.emulator[1], 1, true), line or "no line")
  end)
  if emulated.missing then
    tally.skip(name, emulated.missing)
  else
    local fw
    for k, case in ipairs(chosen) do
      local cores = i == 1 and k == #chosen and 2 or 1
      tally.test(("%s on %s under %s%s"):format(case, name, table.concat(board.emulator, " "), cores > 1 and ", two cores" or ""), function()
        local found
        found, fw = digest(case, name, true, "--cores", tostring(cores))
        folders[name] = fw
        local wanted, other = reference(case, board)
        assert(found == wanted, "another digest than " .. other)
      end)
    end
    if not seen[board.isa.name] and not emulated.native then
      seen[board.isa.name] = true
      local tools = board.compiler:match "^(.*)gcc$"
      tally.test(name .. ": no warning, nothing undefined but memory functions and hooks, weights as an object", function()
        must { "make", "-B", "-j2", "-C", fw, "CFLAGS=-O1 -ffreestanding " .. strict, "libmsa_model.a", "msa_weights.o" }
        must { tools .. "ld", "-r", "-o", fw .. "/whole.o", "--whole-archive", fw .. "/libmsa_model.a", fw .. "/msa_weights.o" }
        for line in must { tools .. "nm", "-u", fw .. "/whole.o" }:gmatch "[^\n]+" do
          local symbol = line:match "%S+$"
          assert(symbol:match "^mem%l+$" or symbol == "msa_progress" or symbol:match "^msa_cores_%l+$", "undefined: " .. symbol)
        end
      end)
    end
  end
end

local wide, atom = folders["x86-64-avx2"], folders["x86-64-sse42"] and boards.named "x86-64-sse42"
if wide and atom then
  tally.test("the emulator of x86-64-sse42 knows no AVX: it refuses what x86-64-avx2 was built for", function()
    local manifest, count = sys.read_file(wide .. "/manifest.json"):gsub("EPYC%-Rome", atom.emulator[3])
    assert(count == 1, "manifest.json does not name EPYC-Rome")
    sys.write_file(wide .. "/manifest.json", manifest)
    local case = cases.folder .. "/" .. chosen[#chosen]
    local status, output = sys.spawn { tally.program, "run", wide, "--image", case .. "/image.npy", "--digest", stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    assert(status == 1 and output:find("this CPU lacks an instruction of the board's", 1, true), output)
  end)
end
return tally.finish()
