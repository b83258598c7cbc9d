-- SPDX-License-Identifier: Apache-2.0
-- Transforms by generated code: the golden cases within their bar; FFTW as the oracle of other sizes; on every board,
-- native or under its emulator, the same bits a class, subnormal ones too; no line depends on another.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local program = require "signal.program"
local boards = require "target.boards"
local tally = require "tally"

local work = tally.folder "fft"
local golden = tally.tests .. "/golden-front/fft"
local STRICT = "-O2 -Werror"
local count = 0

-- A transform that is compiled. @return it, its folder
local function made(points, kind, inverse, board, options)
  local b = program.lower { points = points, kind = kind, inverse = inverse, board = board }
  count = count + 1
  local dir = ("%s/%d"):format(work, count)
  sys.mkdir(dir)
  program.write(b, dir)
  program.compile(dir, options or { cflags = STRICT })
  return b, dir
end

local function bar(n, theirs) return math.max(1.5 * theirs, 4.5e-8 * math.sqrt(math.log(n, 2))) end

-- Relative L2 error of floats, against numbers of a list from `from` on.
local function error_of(bytes, truth, from, numbers)
  local off, all = 0, 0
  for i = 1, numbers do
    local want, got = truth[from + i], string.unpack("<f", bytes, 4 * i - 3)
    off, all = off + (got - want) ^ 2, all + want ^ 2
  end
  return math.sqrt(off / all)
end

for _, case in ipairs(json.decode(sys.read_file(golden .. "/case.json"), "case.json").cases) do
  local n, fftw = case.n, case.fftw3f_rel_l2
  local function file(name) return npy.read(("%s/n%d.%s.npy"):format(golden, n, name)) end
  tally.test(("golden: %d points"):format(n), function()
    local b, dir = made(n, "c2c", false)
    local found = error_of(program.run(b, dir, file "z.f32":tobytes()), file "fft.f64":totable(), 0, 2 * n)
    local worst = found / bar(n, fftw.forward)
    assert(worst <= 1, ("c2c: relative error %.3g"):format(found))
    b, dir = made(n, "r2c", false)
    local out, truth = program.run(b, dir, file "x.f32":tobytes()), file "rfft.f64":totable()
    for line = 0, 1 do
      local size = b.facts.output
      found = error_of(out:sub(4 * line * size + 1), truth, line * size, size)
      worst = math.max(worst, found / bar(n, fftw.real[line + 1]))
      assert(found <= bar(n, fftw.real[line + 1]), ("r2c: relative error %.3g"):format(found))
    end
    return ("%.2f of what is allowed"):format(worst)
  end)
end

-- ---- FFTW ----

local KINDS = { { 0, "c2c", false }, { 1, "c2c", true }, { 2, "r2c", false }, { 3, "r2c", true } }

-- The errors of a size and kind, ours and FFTW's, by bench/fft.c.
local function against_fftw(n, kind)
  local b, dir = made(n, kind[2], kind[3])
  tally.must { "gcc", "-O2", "-std=c99", "-I" .. dir, "-DKIND=" .. kind[1], "-DTABLES_AT=" .. b.weights_at, "-o",
    dir .. "/bench", tally.source .. "/bench/fft.c", dir .. "/libmsa_fft.a", "-lfftw3f", "-lfftw3", "-lm" }
  local text = tally.must { dir .. "/bench", "1", dir .. "/msa_weights.bin" }
  local ours, theirs = text:match "(%S+) (%S+)%s*$"
  return tonumber(ours), tonumber(theirs)
end

local REAL = { 22, 32, 62 } -- whose last pass is of two points
local SIZES = { 1, 2, 4, 6, 9, 10, 12, 14, 18, 22, 25, 32, 48, 50, 62, 64, 98, 128, 135, 160, 210, 338, 360, 512, 1000,
  1280, 2400, 3120, 4096 }
local function fftw_test(n, kind)
  tally.test(("FFTW: %d points, %s%s"):format(n, kind[2], kind[3] and ", inverse" or ""), function()
    local ours, theirs = against_fftw(n, kind)
    assert(ours <= bar(n, theirs), ("relative error %.3g, FFTW's %.3g"):format(ours, theirs))
    return ("%.2g, FFTW's %.2g"):format(ours, theirs)
  end)
end
if not tally.full then
  for _, n in ipairs(REAL) do fftw_test(n, KINDS[3]) end
end
for i, n in ipairs(SIZES) do
  for k, kind in ipairs(KINDS) do
    -- Below the full tier each size in one kind; odd ones in the inverse of real points, too, which is theirs alone.
    if tally.full or (i + n) % 4 + 1 == k or n % 2 == 1 and kind[1] == 3 then fftw_test(n, kind) end
  end
end

-- ---- boards ----

-- Lines of numbers of any sign, at a scale.
local function lines_of(b, lines, scale)
  local list, state = {}, 1
  for i = 1, lines * b.facts.input do
    state = (state * 1664525 + 1013904223) & 0xffffffff
    list[i] = string.pack("<f", (state - 2.0 ^ 31) * 2.0 ^ -31 * scale)
  end
  return table.concat(list)
end

local CASES = { { 60, "r2c", false }, { 96, "c2c", true }, { 36, "r2c", true }, { 91, "c2c", false },
  { 45, "r2c", true } }
local known = {}

local function board_test(board, case, options)
  local name = ("%s: %d points, %s%s%s"):format(board.name, case[1], case[2], case[3] and ", inverse" or "",
    options and ", by " .. options.cc or "")
  tally.test(name, function()
    local b, dir = made(case[1], case[2], case[3], board.name, options)
    for _, scale in ipairs { 1, 2.0 ^ -128 } do -- the second is of subnormals
      local bytes = program.run(b, dir, lines_of(b, 5, scale))
      local key = ("%s %d %s %s %g"):format(board.arithmetic, case[1], case[2], case[3], scale)
      known[key] = known[key] or { bytes = bytes, board = board.name }
      assert(bytes == known[key].bytes, ("other bits than %s, scale %g"):format(known[key].board, scale))
    end
  end)
end

for _, board in ipairs(boards.all()) do
  local missing
  for _, one in ipairs(tally.emulated) do
    if one.name == board.name and not boards.native(board) then missing = one.missing end
  end
  for i, case in ipairs(CASES) do
    local chosen = tally.full or i == 1 or board.name == tally.best or board.name == "generic-c99-nofma"
      or board.name == "cortex-m55" and i == 2 or board.name == "cortex-a7" and i == 3
    if missing and i == 1 then tally.skip(board.name, missing)
    elseif not missing and chosen and (boards.native(board) or board.emulator) then board_test(board, case) end
  end
end
board_test(boards.named(tally.best, "test"), CASES[1], { cc = "clang-14", cflags = STRICT })
board_test(boards.named(tally.best, "test"), CASES[2], { cc = "clang-14", cflags = "-O3 -Werror" })

tally.test("a line's result does not depend on others, nor on how many there are", function()
  local b, dir = made(60, "r2c", false)
  local size_in, size_out = 4 * b.facts.input, 4 * b.facts.output
  local all = lines_of(b, 37, 1)
  local out = program.run(b, dir, all)
  for _, line in ipairs { 0, 3, 16, 36 } do
    local alone = program.run(b, dir, all:sub(line * size_in + 1, (line + 1) * size_in))
    assert(alone == out:sub(line * size_out + 1, (line + 1) * size_out), ("line %d differs alone"):format(line))
  end
end)

tally.test("msagen fft writes the transform, and its inverse brings the points back", function()
  local points, x = work .. "/x.npy", npy.read(golden .. "/n100.x.f32.npy")
  npy.write(points, x)
  tally.must { tally.program, "fft", "100", "--kind", "r2c", "--input", points, "-o", work .. "/spectrum.npy" }
  tally.must { tally.program, "fft", "100", "--kind", "r2c", "--inverse", "--input", work .. "/spectrum.npy", "-o",
    work .. "/back.npy" }
  local spectrum, back = npy.read(work .. "/spectrum.npy"), npy.read(work .. "/back.npy")
  assert(table.concat(spectrum.shape, " ") == "2 51 2" and table.concat(back.shape, " ") == "2 100", "another shape")
  local want, largest, apart = x:totable(), 0, 0
  for i, value in ipairs(back:totable()) do
    largest, apart = math.max(largest, math.abs(want[i])), math.max(apart, math.abs(value / 100 - want[i]))
  end
  assert(apart < 1e-6 * largest, ("%g apart, of %g"):format(apart, largest))
end)

return tally.finish()
