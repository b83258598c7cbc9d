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

--- Cases that between them hold every kind of prompt, both window paddings, both decoders and the depth branch:
-- compiled on every board, the second by other compilers, too. Every case's digest is the interpreter's as well.
local variant_cases = { ["msa-2023-2d"] = true, ["msa-2025-3d-no-chunk"] = true }
local compiled_case = "msa-2025-3d-no-chunk"
-- Plain C leaves a compiler the most to rearrange, so it is built in these ways too.
local variants = {
  { "clang-14 -O2", CC = "clang-14", CFLAGS = "-O2" },
  { "gcc -O3", CC = "gcc", CFLAGS = "-O3" },
  { "gcc -fsanitize=address", CC = "gcc", CFLAGS = "-O1 -g -fsanitize=address" },
  { "clang-14 -O2", CC = "clang-14", CFLAGS = "-O2", board = "generic-c99" },
  { "gcc -O3", CC = "gcc", CFLAGS = "-O3", board = "generic-c99" },
  { "clang-14 -O2 -march=native", CC = "clang-14", CFLAGS = "-O2 -march=native", board = "generic-c99-nofma" },
}

--- The boards of a case: the best one and one of the others in turn; all for the cases above. `make check-boards` has
-- every case on every board.
local turn = 0
local function chosen(name)
  if variant_cases[name] then return tally.boards end
  local list, others = {}, {}
  for _, board in ipairs(tally.boards) do table.insert(board.name == tally.best and list or others, board) end
  if #others > 0 then table.insert(list, others[turn % #others + 1]) end
  turn = turn + 1
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

local function run_case(name, case, folder)
  local here = work .. "/" .. name
  sys.mkdir_p(here)
  local prompts = here .. "/prompts.json"
  sys.write_file(prompts, cases.prompts(name, case))
  local first = {} -- by class of arithmetic

  local function run(fw)
    return cases.digest(tally.must { tally.program, "run", fw, "--image", folder .. "/image.npy", "--prompts", prompts,
      "--out", fw .. ".got", "--digest" })
  end

  for _, board in ipairs { "generic-c99", "generic-c99-nofma" } do
    local class = tally.class[board]
    tally.test(("%s by the interpreter, %s"):format(name, class), function()
      local digest, known = cases.digest(tally.must(cases.interpret(name, case, board, prompts))), digests[class][name]
      assert(digest == known, ("digest %s, in tests/golden/digests.json %s"):format(digest, known or "none"))
    end)
  end

  for _, board in ipairs(chosen(name)) do
    local title = name .. " on " .. board.name
    if board.missing then
      tally.skip(title, board.missing)
    else
      tally.test(title, function()
        local fw = here .. "/" .. board.name
        tally.must(cases.build(name, case, board.name, fw))
        -- As shipped on the best board; on the others without optimisation, but for the cases that are compiled in
        -- other ways: it takes a third of the time.
        local quick = board.name ~= tally.best and not variant_cases[name]
        tally.must { "make", "-j2", "-C", fw, quick and "CFLAGS=-O0" or nil }
        local digest = run(fw)
        local ratio = worst_ratio(case, folder, fw .. ".got")
        assert(ratio <= 1, ("%.3f of the allowed error"):format(ratio))
        local class = board.arithmetic
        first[class] = first[class] or { board = board.name, digest = digest }
        assert(digest == first[class].digest, "another digest than " .. first[class].board)
        local known = digests[class][name] or "none"
        assert(digest == known,
          ("digest %s, in tests/golden/digests.json %s: what changes the arithmetic changes its class"):format(digest,
          known))
        for other, of in pairs(first) do
          assert(other == class or of.digest ~= digest, class .. " has the digest of " .. other)
        end
        return ("%.3f of the allowed error"):format(ratio)
      end)
    end
  end

  if name == compiled_case then
    for _, variant in ipairs(variants) do
      local board = variant.board or tally.best
      local expected = first[tally.class[board]]
      tally.test(("%s on %s by %s"):format(name, board, variant[1]), function()
        local fw = here .. "/" .. board
        tally.must { "make", "-B", "-j2", "-C", fw, "CC=" .. variant.CC, "CFLAGS=" .. variant.CFLAGS }
        assert(expected and run(fw) == expected.digest, "another digest than "
          .. (expected and expected.board or "none"))
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
  if wanted and sys.exists(folder .. "/checkpoint.pth") then
    run_case(name, cases.read(name), folder)
  end
end
return tally.finish()
