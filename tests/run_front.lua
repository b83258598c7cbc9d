-- SPDX-License-Identifier: Apache-2.0
-- Front ends by generated code: golden cases within their bars; on every board, native or under its emulator, the same
-- bits a class; lines as they arrive, kinds of samples, persistence; hostile samples; what is refused.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local built = require "signal.built"
local boards = require "target.boards"
local compile = require "run.compile"
local front = require "run.front"
local folders = require "run.folder"
local tally = require "tally"

local work = tally.folder "front"
local golden = tally.tests .. "/golden-front"
local STRICT = "-O2 -Werror"
local count = 0

-- A front end that is compiled. @return its folder
local function made(description, board, options)
  count = count + 1
  local dir = ("%s/%d"):format(work, count)
  built.build({ frontend = description, board = board }, dir, "test", function() end)
  compile(dir, options or { cflags = STRICT })
  return folders.open(dir, true)
end

local function case_of(path)
  local case = json.decode(sys.read_file(path .. "/case.json"), "case.json")
  local p = case.parameters
  p.kind, p.lines, p.samples = "ultrasound", case.lines, case.samples
  p.format = case.case == "clarius_iq" and "iq" or case.case == "clarius_prescan" and "prescan" or "rf"
  p.cycles = nil
  return case, p, npy.read(path .. "/samples.npy"):tobytes()
end

-- Floats of lines of a result, against doubles of the same lines. @return the largest difference
local function apart(bytes, depth, lines, truth)
  local list, most = truth:totable(), 0
  for i, line in ipairs(lines) do
    for k = 1, depth do
      local got = string.unpack("<f", bytes, 4 * (line * depth + k) - 3)
      most = math.max(most, math.abs(got - list[(i - 1) * depth + k]))
      assert(got == got, "NaN")
    end
  end
  return most
end

-- @return bytes that differ, the largest difference
local function differing(bytes, truth)
  assert(#bytes == #truth, ("%d bytes, expected %d"):format(#bytes, #truth))
  local differ, most = 0, 0
  for i = 1, #bytes do
    local d = math.abs(bytes:byte(i) - truth:byte(i))
    if d > 0 then differ, most = differ + 1, math.max(most, d) end
  end
  return differ, most
end

-- ---- golden cases: envelope 2e-6 of the frame's largest, grey 0.02 level, 2 bytes of a picture by one level ----

for _, name in ipairs(sys.list(golden .. "/ultrasound")) do
  tally.test("golden: " .. name, function()
    local case, p, bytes = case_of(golden .. "/ultrasound/" .. name)
    local folder, said = made(p, tally.best), {}
    local found = front.perform(folder, bytes, 1, {})
    local function file(of) return ("%s/ultrasound/%s/%s.npy"):format(golden, name, of) end
    if found.envelope then
      local off = apart(found.envelope, folder.frame_depth, case.envelope_lines, npy.read(file "envelope.f64"))
      said[1] = ("envelope %.1e"):format(off / case.envelope_scale)
      assert(off <= 2e-6 * case.envelope_scale, said[1])
    end
    if case.grey_f64_lines then
      local off = apart(found.grey, folder.frame_depth, case.grey_f64_lines, npy.read(file "grey.f64"))
      said[#said + 1] = ("grey %.4f"):format(off)
      assert(off <= 0.02, said[#said])
    end
    local differ, most = differing(found.picture, npy.read(file "scan.u8"):tobytes())
    assert(differ <= 2 and most <= 1, ("%d pixels differ by up to %d"):format(differ, most))
    said[#said + 1] = ("%d pixels"):format(differ)
    return table.concat(said, ", ")
  end)
end

local fundus = json.decode(sys.read_file(golden .. "/fundus/cases.json"), "cases.json").cases

-- A fundus case: description, samples, what the picture must be.
local function fundus_case(case)
  local function file(name) return npy.read(("%s/fundus/%s.npy"):format(golden, name)) end
  local p, input, truth = { kind = "fundus" }, nil, nil
  if case.kind == "develop" then
    for key, value in pairs(case.parameters) do p[key] = value end
    p.format, input, truth = "bayer", file(case.name .. ".raw"), file(case.name .. ".rgb.u8")
  else
    p.format, input = "rgb", file "crop.u8"
    if case.kind == "clahe" then
      p.clahe, truth = { clip = case.clip, tiles = case.tiles }, file "clahe_green_2_8x8.u8"
    else
      p.local_average, truth = { sigma = case.sigma }, file "graham_sigma10.u8"
    end
  end
  p.height, p.width = input.shape[1], input.shape[2]
  return p, input:tobytes(), truth:tobytes()
end

for _, case in ipairs(fundus) do
  tally.test("golden: fundus, " .. case.name, function()
    local p, bytes, truth = fundus_case(case)
    local differ, most = differing(front.perform(made(p, tally.best), bytes, 1, {}).picture, truth)
    assert(differ <= 2 and most <= 1, ("%d bytes differ by up to %d"):format(differ, most))
    return ("%d bytes"):format(differ)
  end)
end

-- ---- boards ----

local steered = golden .. "/ultrasound/phantom_steered_odd"
local phased = golden .. "/ultrasound/phantom_phased"
local known = {}

local CASES = {
  { "steered, odd", function() return select(2, case_of(steered)) end,
    function() return select(3, case_of(steered)) end },
  { "phased, filter", function() return select(2, case_of(phased)) end,
    function() return select(3, case_of(phased)) end },
  { "fundus", function()
    local p = fundus_case(fundus[1])
    p.local_average, p.clahe = { sigma = 2 }, { clip = 2, tiles = 5, channel = "each" }
    p.square = true
    return p
  end, function() return select(2, fundus_case(fundus[1])) end },
}

local function board_test(board, case, options)
  local name = ("%s: %s%s"):format(board.name, case[1], options and ", by " .. options.cc or "")
  tally.test(name, function()
    local found = front.perform(made(case[2](), board.name, options), case[3](), 1, {})
    local bits = (found.envelope or "") .. (found.grey or "") .. found.picture
    local key = board.arithmetic .. case[1]
    known[key] = known[key] or { bits = bits, board = board.name }
    assert(bits == known[key].bits, "other bits than " .. known[key].board)
  end)
end

for _, board in ipairs(boards.all()) do
  local missing
  for _, one in ipairs(tally.emulated) do
    if one.name == board.name and not boards.native(board) then missing = one.missing end
  end
  for i, case in ipairs(CASES) do
    local chosen = tally.full or i ~= 2 or boards.native(board) and board.name ~= "generic-c99"
      or board.name == "cortex-a7"
    if missing and i == 1 then tally.skip(board.name, missing)
    elseif not missing and chosen and (boards.native(board) or board.emulator) then board_test(board, case) end
  end
end
board_test(boards.named(tally.best, "test"), CASES[1], { cc = "clang-14", cflags = "-O3 -Werror" })
board_test(boards.named(tally.best, "test"), CASES[3], { cc = "clang-14", cflags = STRICT })

-- ---- lines as they arrive, kinds of samples ----

tally.test("lines as they arrive give the frame's bits, however many come at a time", function()
  local _, p, bytes = case_of(steered)
  local folder = made(p, tally.best)
  local whole = front.perform(folder, bytes, 1, {})
  for _, lines in ipairs { 1, 7, 16, 17, 39, 40 } do
    local parts = front.perform(folder, bytes, 1, { at_a_time = lines })
    assert(parts.picture == whole.picture and parts.grey == whole.grey and parts.envelope == whole.envelope,
      lines .. " at a time give other bits")
  end
  local twice = front.perform(folder, ("\0"):rep(#bytes) .. bytes, 2, { at_a_time = 13 })
  assert(twice.picture == whole.picture and twice.grey == whole.grey, "a frame leaves something to the next")
end)

-- Small numbers of every kind, as each kind has them.
local function numbers_as(kind, list)
  local code = { int16 = "<h", uint16 = "<H", uint8 = "B", int8 = "b", float32 = "<f" }
  local out = {}
  if kind ~= "int12" then
    for i, n in ipairs(list) do out[i] = string.pack(code[kind], n) end
    return table.concat(out)
  end
  for i = 1, #list, 2 do
    local a, b = list[i] & 0xfff, (list[i + 1] or 0) & 0xfff
    out[#out + 1] = string.pack("BBB", a & 255, a >> 8 | b << 4 & 0xf0, b >> 4):sub(1, list[i + 1] and 3 or 2)
  end
  return table.concat(out)
end

tally.test("samples of every kind are the same numbers", function()
  local lines, samples, state = 21, 45, 7
  local description = { kind = "ultrasound", lines = lines, samples = samples, fs = 2e7, c = 1540, ref = 100,
    dynamic_range_db = 60, tgc = { { 0, 0 }, { 1, 6 } }, geometry = { kind = "linear", pitch = 0.3 },
    image = { width = 40, height = 30, x0 = -3, z0 = 0, dx = 0.15, dz = 0.05 } }
  for format, kinds in pairs { rf = { "int16", "int12", "int8", "float32" }, envelope = { "uint16", "uint8", "int16",
    "float32" } } do
    local first
    local list = {}
    for i = 1, lines * samples do
      state = (state * 1664525 + 1013904223) & 0xffffffff
      list[i] = (state >> 25) - (format == "rf" and 64 or 0)
    end
    for _, kind in ipairs(kinds) do
      description.format, description.type = format, kind
      local bytes = {}
      for l = 0, lines - 1 do
        bytes[l + 1] = numbers_as(kind, table.move(list, l * samples + 1, (l + 1) * samples, 1, {}))
      end
      local found = front.perform(made(description, tally.best), table.concat(bytes), 1, {})
      first = first or found
      assert(found.grey == first.grey and found.picture == first.picture, format .. " " .. kind)
    end
  end
end)

tally.test("before a network: samples, their picture, lines in pieces and three cores give one digest", function()
  local _, p = case_of(golden .. "/ultrasound/phantom_curved")
  local frame, picture = golden .. "/ultrasound/phantom_curved/samples.npy", work .. "/picture.npy"
  local first
  for _, cores in ipairs { 1, 3 } do
    local dir = ("%s/network_%d"):format(work, cores)
    require("compiler.compiler").build({ checkpoint = tally.head, dialect = "msa-paper", board = tally.best,
      cores = cores, frontend = p }, dir, "test", function() end)
    local function digest(...)
      return tally.must { tally.program, "run", dir, "--point", "150,128", "--digest", ... }:match "digest (%x+)"
    end
    local found = digest("--samples", frame, "--bmode-out", picture)
    first = first or found
    assert(found == first, cores .. " cores give another digest")
    assert(digest("--samples", frame, "--at-a-time", "11") == first, "lines in pieces give another digest")
    local said = tally.must { tally.program, "run", dir, "--samples", frame, "--bench", "3" }
    assert(said:find "front_ms [%d.]+\nencode_ms [%d.]+\n", said)
    if cores == 1 then
      local grey = npy.read(picture)
      local rgb = grey:tobytes():gsub(".", "%0%0%0")
      npy.write(picture, require("msagen.tensor").frombytes(rgb, "u8", { grey.shape[1], grey.shape[2], 3 }))
      assert(digest("--image", picture) == first, "the picture as an image gives another digest")
    end
  end
end)

tally.test("persistence keeps a share of the frames before", function()
  local _, p, bytes = case_of(steered)
  p.ref = 1000
  local alone = front.perform(made(p, tally.best), bytes, 1, {})
  p.persistence = 0.75
  local folder = made(p, tally.best)
  local first = front.perform(folder, bytes, 1, {})
  assert(first.grey == alone.grey, "the first frame is not whole")
  local second = front.perform(folder, bytes .. ("\0"):rep(#bytes), 2, {})
  local most = 0
  for i = 1, #alone.grey, 4 do
    local was, is = string.unpack("<f", alone.grey, i), string.unpack("<f", second.grey, i)
    most = math.max(most, math.abs(is - 0.75 * was))
  end
  assert(most < 1e-4, ("%g levels off"):format(most))
end)

-- ---- fundus ----

local function eye(stem) return tally.source .. "/demo/data/fundus/images/" .. stem end

tally.test("a field of view is found, and cut to a square; text in a corner and darkness are refused", function()
  local image = require "run.inputs".image(eye(sys.list(eye "")[1]), 1)
  local height, width = image.shape[2], image.shape[3]
  local folder = made({ kind = "fundus", format = "rgb", width = width, height = height, square = true,
    field_of_view = { threshold = 15 } }, tally.best)
  local bytes = image:tobytes()
  local found = front.perform(folder, bytes, 1, {})
  local side = found.width
  assert(found.height == side and side <= width and side > width // 2, "no square")
  for _, place in ipairs { { side // 2, side // 2 }, { side // 3, side // 2 }, { side // 2, side // 3 } } do
    local x, y = place[1] + found.x, place[2] + found.y
    local from, to = 3 * (y * width + x) + 1, 3 * (place[2] * side + place[1]) + 1
    assert(bytes:sub(from, from + 2) == found.picture:sub(to, to + 2), "another pixel")
  end
  local text = ("\255"):rep(3 * (width // 12))
  local rows = {}
  for y = 0, height - 1 do
    local row = bytes:sub(3 * y * width + 1, 3 * (y + 1) * width)
    rows[y + 1] = y < height // 12 and text .. row:sub(#text + 1) or row
  end
  for what, frame in pairs { text = table.concat(rows), darkness = ("\0"):rep(#bytes) } do
    local ok, message = pcall(front.perform, folder, frame, 1, {})
    assert(not ok and message.msagen:find("no round field of view", 1, true), what .. " was taken")
  end
end)

-- ---- hostile ----

tally.test("samples of any value give levels from 0 to 255, whatever was before", function()
  local _, p = case_of(steered)
  p.type = "float32"
  local size = p.lines * p.samples
  local folder = made(p, tally.best, { cflags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" })
  local state, list = 3, {}
  for i = 1, size do
    state = (state * 1664525 + 1013904223) & 0xffffffff
    list[i] = string.pack("<I4", state)
  end
  for _, frame in ipairs { table.concat(list), string.pack("<I4", 0x7fc00000):rep(size),
    string.pack("<I4", 0x7f800000):rep(size), string.pack("<I4", 0xff7fffff):rep(size), ("\0"):rep(4 * size) } do
    local found = front.perform(folder, frame, 1, {})
    for i = 1, #found.grey, 4 do
      local level = string.unpack("<f", found.grey, i)
      assert(level >= 0 and level <= 255, "a level of " .. level)
    end
  end
  return "with sanitizers"
end)

tally.test("any samples, pieces, strides and tables stay within bounds: guard pages and sanitizers", function()
  local _, curved = case_of(golden .. "/ultrasound/phantom_curved")
  local _, steered_odd = case_of(steered)
  local eye_of = fundus_case(fundus[1])
  eye_of.field_of_view, eye_of.square, eye_of.local_average = { threshold = 9 }, true, { sigma = 1.5 }
  eye_of.clahe = { clip = 3, tiles = 7 }
  local flat = { kind = "ultrasound", format = "envelope", type = "uint8", lines = 19, samples = 33, fs = 2e7, c = 1540,
    ref = "max", dynamic_range_db = 40, geometry = { kind = "linear", pitch = 0.3 },
    image = { width = 61, height = 47, x0 = -3, z0 = -0.1, dx = 0.1, dz = 0.03 } }
  for i, p in ipairs { steered_odd, curved, eye_of, flat } do
    local sums = {}
    for k, how in ipairs { { tally.best, "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" },
      { "generic-c99", "-O2" } } do
      local folder = made(p, how[1], { cflags = how[2] })
      local program = ("%s/api_%d_%d"):format(work, i, k)
      local command = { "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror" }
      for word in how[2]:gmatch "%S+" do command[#command + 1] = word end
      table.move({ "-I" .. folder.path, "-o", program, tally.source .. "/tests/api/front.c",
        folder.path .. "/libmsa_model.a", "-lm" }, 1, 6, #command + 1, command)
      tally.must(command)
      sums[k] = tally.must { program, folder.path .. "/msa_weights.bin", tostring(i), tally.full and "400" or "24" }
    end
    assert(sums[1] == sums[2], ("case %d: the boards' sums differ"):format(i))
  end
end)

tally.test("msagen run writes envelope, grey levels and picture, and refuses other frames in one line", function()
  local script = work .. "/front.lua"
  sys.write_file(script, [[return { frontend = { kind = "ultrasound", format = "rf", lines = 8, samples = 64, fs = 2e7,
    c = 1540, ref = "max", dynamic_range_db = 50, decimate = 2, geometry = { kind = "phased", line_step_deg = 2 },
    image = { width = 32, height = 24, x0 = -2, z0 = 0, dx = 0.125, dz = 0.125 } } }]])
  local dir, frame = work .. "/said", work .. "/frame.npy"
  tally.must { tally.program, "build", script, "-o", dir }
  local tensor = require "msagen.tensor"
  npy.write(frame, tensor.frombytes(numbers_as("int16", (function()
    local list = {}
    for i = 1, 512 do list[i] = i * 37 % 1000 - 500 end
    return list
  end)()), "i16", { 8, 64 }))
  tally.must { tally.program, "run", dir, "--samples", frame, "--envelope-out", work .. "/e.npy", "--grey-out",
    work .. "/g.npy", "--bmode-out", work .. "/b.png" }
  local said = tally.must { tally.program, "run", dir, "--samples", frame, "--bench", "3" }
  assert(said:find "\nframe [%d.]+ ms %(median of 3%)\nstep 0 samples +[%d.]+ ms\n", said)
  assert(table.concat(npy.read(work .. "/e.npy").shape, " ") == "8 32")
  assert(table.concat(npy.read(work .. "/g.npy").shape, " ") == "8 32")
  local function refused(expected, ...)
    local command = { "sh", "-c", 'exec "$0" "$@" 2>&1', tally.program, ... }
    command.stdin, command.stdout = "/dev/null", "capture"
    local code, said = sys.spawn(command)
    assert(code ~= 0 and said:find(expected, 1, true), ("expected %s, found %s"):format(expected, said))
  end
  npy.write(frame, tensor.zeros({ 8, 63 }, "i16"))
  refused("expected a frame [8,64]", "run", dir, "--samples", frame)
  npy.write(frame, tensor.zeros({ 8, 64 }, "f32"))
  refused("expected i16", "run", dir, "--samples", frame)
  refused("--envelope-out: expected with --samples", "run", dir, "--envelope-out", work .. "/e.npy")
  refused("--point: expected with a network", "run", dir, "--samples", frame, "--point", "3,3")
end)

local bare
for _, one in ipairs(tally.emulated) do
  if one.name == "cortex-m7" or one.name == "cortex-m55" then bare = bare or one.missing end
end
if bare then tally.skip("demo/phantom", bare)
else
  tally.test("demo/phantom: samples to mask, one digest here and on two boards without an operating system", function()
    local said = tally.must { "sh", tally.source .. "/demo/phantom/run.sh", tally.program, work .. "/phantom" }
    assert(said:find("one digest on all three", 1, true), said)
  end)

  tally.test("demo/product: the same words on a workstation and on two boards without an operating system", function()
    local first
    for _, name in ipairs { "generic-c99", "cortex-m7", "cortex-m55" } do
      local program = work .. "/product-" .. name
      tally.must { "sh", tally.source .. "/demo/product/build.sh", work .. "/phantom/" .. name,
        work .. "/phantom/frame.npy", program }
      local command = { program }
      if name ~= "generic-c99" then
        command = {}
        for i, word in ipairs(boards.named(name, "test").emulator) do
          command[i] = word:gsub("{(%l+)}", { program = program, arguments = "" })
        end
      end
      local said = tally.must(command)
      assert(said:find("^picture %d+, area [1-9]%d+, outline of %d+ corners, first at %d+,%d+, watchdog fed\n$"), said)
      first = first or said
      assert(said == first, name .. ": " .. said)
    end
    return (first:gsub("\n", ""))
  end)

  tally.test("demo/product: the glue for FreeRTOS and Zephyr compiles against their declarations", function()
    for _, of in ipairs { { "gcc", "generic-c99" },
      { "arm-none-eabi-gcc", "cortex-m7", "-mcpu=cortex-m7", "-mthumb" } } do
      for _, file in ipairs { "product.c", "freertos/msa_freertos.c", "zephyr/src/msa_zephyr.c" } do
        local command = { of[1], "-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror",
          "-DCONFIG_MSA_STACK_SIZE=8192", "-DCONFIG_MSA_PRIORITY=5", "-I" .. tally.tests .. "/rtos",
          "-I" .. tally.source .. "/demo/product", "-I" .. work .. "/phantom/" .. of[2], "-c",
          tally.source .. "/demo/product/" .. file, "-o", work .. "/glue.o" }
        table.move(of, 3, #of, #command + 1, command)
        tally.must(command)
      end
    end
  end)
end

return tally.finish()
