-- SPDX-License-Identifier: Apache-2.0
-- Boards that only an emulator can run here: golden cases with the digest of this CPU's best board, one of them with two cores; clean and freestanding code.
-- luahost run_boards.lua [CASE-PREFIX...]: other cases than the two usual ones ("" is all).
local sys = require "msagen.sys"
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

local function digest(name, board, ...)
  local case, prompts = cases.read(name), work .. "/prompts.json"
  local fw = ("%s/%s-%s"):format(work, name, table.concat({ board, ... }))
  must(cases.build(name, case, board, fw, ...))
  sys.write_file(prompts, cases.prompts(name, case))
  must { "make", "-j2", "-C", fw }
  return cases.digest(must { tally.program, "run", fw, "--image", ("%s/%s/image.npy"):format(cases.folder, name), "--prompts", prompts, "--digest" }), fw
end

--- The digest that a case must have.
local expected = {}
local function reference(case)
  expected[case] = expected[case] or (digest(case, tally.best))
  return expected[case]
end

local listed = must { tally.program, "boards" }
local seen = {} -- instruction sets
for i, emulated in ipairs(tally.emulated) do
  local board, name = emulated.board, emulated.name
  tally.test(name .. " is listed with its emulator", function()
    local line = ("\n" .. listed):match("\n(" .. name:gsub("%-", "%%-") .. " [^\n]*)")
    assert(line and line:find("under " .. board.emulator[1], 1, true), line or "no line")
  end)
  if emulated.missing then
    tally.skip(name, emulated.missing)
  else
    local fw
    for k, case in ipairs(chosen) do
      local cores = i == 1 and k == #chosen and 2 or 1
      tally.test(("%s on %s%s"):format(case, name, cores > 1 and ", two cores" or ""), function()
        local found
        found, fw = digest(case, name, "--cores", tostring(cores))
        assert(found == reference(case), "another digest than " .. tally.best)
      end)
    end
    if not seen[board.isa.name] then
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
return tally.finish()
