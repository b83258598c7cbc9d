-- SPDX-License-Identifier: Apache-2.0
-- Golden cases on the boards: results within the tolerance around float64 truth, one digest for all boards of a class
-- of arithmetic, compilers and optimisations: that of tests/golden/digests.json, for a class of another definition has
-- another name.
-- luahost run_golden.lua [CASE-PREFIX...]; DESIGN.md section 3 gives the tolerances.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local cases = require "cases"
local tally = require "tally"

local work = tally.folder "golden"
local digests = json.decode(sys.read_file(cases.folder .. "/digests.json"), "digests.json")

--- Compiled on the best board, on plain C and by other compilers, in the full tier on every board: a volume, with every
-- kind of layer. Every case's digest is the interpreter's, of both classes of arithmetic, and so are the results that
-- are held against float64.
local every_board = "msa-2025-3d-no-chunk"
-- Compiled as they are shipped on the best board; the first in the quick and the full tier alone.
local shipped = { ["msa-2023-2d"] = true, [every_board] = true }
-- Compiled on one other board: options and dialects that no other piece of the check compiles. The full tier has all
-- cases, on the best board as well.
local elsewhere = { ["msa-2024-2d"] = true, ["msa-2025-2d-other-resolution"] = true, ["msa-2025-2d-two-class"] = true,
  ["msa-paper-3d"] = true, ["efficient-sam-2d"] = true, ["msa-efficient-2025-2d"] = true,
  ["lite-medsam-2d"] = true, ["sam-med2d-2d"] = true }
-- Plain C leaves a compiler the most to rearrange, so it is built in these ways too; those marked are the full tier's.
local variants = {
  { "clang-14 -O2", CC = "clang-14", CFLAGS = "-O2", full = true },
  { "gcc -O3", CC = "gcc", CFLAGS = "-O3", full = true },
  { "gcc -fsanitize=address", CC = "gcc", CFLAGS = "-O1 -g -fsanitize=address", full = true },
  { "clang-14 -O2", CC = "clang-14", CFLAGS = "-O2", board = "generic-c99", full = true },
  { "gcc -O3", CC = "gcc", CFLAGS = "-O3", board = "generic-c99" },
  { "clang-14 -O2 -march=native", CC = "clang-14", CFLAGS = "-O2 -march=native", board = "generic-c99-nofma" },
}

--- The boards on which a case is compiled.
local function chosen(name)
  local best, others = {}, {}
  for _, board in ipairs(tally.boards) do table.insert(board.name == tally.best and best or others, board) end
  if tally.quick then return name == every_board and best or {} end
  if tally.full and (name == every_board or shipped[name]) then return tally.boards end
  local list = (tally.full or name == every_board) and best or {}
  if name == every_board then
    for _, board in ipairs(others) do
      if board.plain then list[#list + 1] = board end -- the variants'
    end
  elseif #others > 0 and (tally.full or elsewhere[name]) then list[#list + 1] = tally.chosen(others, name) end
  return list
end

--- Largest absolute difference of two NPY files; infinite where a value is NaN or the counts differ.
local function largest_error(got, reference)
  local a, b = npy.read(got):totable(), npy.read(reference):totable()
  if #a ~= #b then return math.huge end
  local largest = 0
  for i = 1, #a do
    local e = math.abs(a[i] - b[i])
    if not (e <= 1e30) then return math.huge end
    if e > largest then largest = e end
  end
  return largest
end

--- The error of each result over the error allowed; at most 1 where the case holds.
local function worst_ratio(case, folder, got)
  local worst = 0
  local function compare(name, torch_error, scale, floor)
    local e = largest_error(got .. "/" .. name .. ".npy", folder .. "/" .. name .. ".f64.npy")
    worst = math.max(worst, e / math.max(4 * torch_error, floor * scale))
  end
  compare("embedding", case.torch_f32_vs_f64_max_abs, case.embedding_scale, 2e-6)
  for k, p in ipairs(case.prompts) do
    local name = ("prompt_%d"):format(k - 1)
    compare(name .. ".logits", p.torch_f32_vs_f64_max_abs, p.logits_scale, 5e-5)
    local iou = ("%s/%s.iou"):format(folder, name)
    compare(name .. ".iou", largest_error(iou .. ".npy", iou .. ".f64.npy"), 1, 1e-4)
  end
  return worst
end

--- A case by the interpreter: its digest, and its results.
local function interpreted(name, case, folder, here)
  local plain = { "generic-c99", "generic-c99-nofma" }
  for _, board in ipairs(tally.quick and { tally.chosen(plain, name) } or plain) do
    local class = tally.class[board]
    tally.test(("%s by the interpreter, %s"):format(name, class), function()
      local got, known = here .. "/interpreted", cases.known(name, board)
      local command = cases.interpret(name, case, board, here .. "/prompts.json")
      command[#command + 1], command[#command + 2] = "--out", got
      local digest = cases.digest(tally.must(command))
      assert(digest == known, ("digest %s, in tests/golden/digests.json %s"):format(digest, known))
      local ratio = worst_ratio(case, folder, got)
      assert(ratio <= 1, ("%.3f of the allowed error"):format(ratio))
      return ("%.3f of the allowed error"):format(ratio)
    end)
  end
end

local function run(fw, folder, here)
  return cases.digest(tally.must { tally.program, "run", fw, "--image", folder .. "/image.npy", "--prompts",
    here .. "/prompts.json", "--out", fw .. ".got", "--digest" })
end

--- A case on a board: its digest, and the results that `run` writes.
local function compiled(name, case, board, folder, here)
  local fw = here .. "/" .. board.name
  tally.must(cases.build(name, case, board.name, fw))
  -- As shipped on the best board; without optimisation on others, which takes half the time.
  tally.must { "make", "-j2", "-C", fw, (board.name ~= tally.best or not shipped[name]) and "CFLAGS=-O0" or nil }
  local digest = run(fw, folder, here)
  local ratio = worst_ratio(case, folder, fw .. ".got")
  assert(ratio <= 1, ("%.3f of the allowed error"):format(ratio))
  local known = cases.known(name, board.name)
  assert(digest == known,
    ("digest %s, in tests/golden/digests.json %s: what changes the arithmetic changes its class"):format(digest,
    known))
  for class, of in pairs(digests) do
    assert(class == board.arithmetic or of[name] ~= digest, board.arithmetic .. " has the digest of " .. class)
  end
  return ("%.3f of the allowed error"):format(ratio)
end

local function run_case(name, case, folder)
  local here = work .. "/" .. name
  sys.mkdir_p(here)
  sys.write_file(here .. "/prompts.json", cases.prompts(name, case))
  interpreted(name, case, folder, here)
  for _, board in ipairs(chosen(name)) do
    local title = name .. " on " .. board.name
    if board.missing then
      tally.skip(title, board.missing)
    else
      tally.test(title, compiled, name, case, board, folder, here)
    end
  end
  for _, variant in ipairs(name == every_board and not tally.quick and variants or {}) do
    local board = variant.board or tally.best
    if tally.full or not variant.full then
      tally.test(("%s on %s by %s"):format(name, board, variant[1]), function()
        local fw = here .. "/" .. board
        tally.must { "make", "-B", "-j2", "-C", fw, "CC=" .. variant.CC, "CFLAGS=" .. variant.CFLAGS }
        assert(run(fw, folder, here) == cases.known(name, board), "another digest than golden/digests.json")
      end)
    end
  end
  sys.remove_tree(here)
end

local prefixes = { ... }
for _, name in ipairs(sys.list(cases.folder)) do
  local folder = cases.folder .. "/" .. name
  local wanted = #prefixes == 0
  for _, prefix in ipairs(prefixes) do wanted = wanted or name:sub(1, #prefix) == prefix end
  if wanted and cases.checkpoint(name) then
    run_case(name, cases.read(name), folder)
  end
end
return tally.finish()
