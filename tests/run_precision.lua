-- SPDX-License-Identifier: Apache-2.0
-- Builds of lower precision: one digest a class on all boards, by the interpreter, cores, streamed weights; what
-- equalising leaves as it is; what the demos lose.
-- luahost run_precision.lua [CASE-PREFIX...]
local sys = require "msagen.sys"
local json = require "msagen.json"
local arithmetic = require "target.arithmetic"
local cases = require "cases"
local closed = require "support.closed"
local tally = require "tally"

local work = tally.folder "precision"
local LOWER = { "int8", "bf16" }

local native = {}
for _, board in ipairs(tally.every) do native[board.name] = not board.missing end

-- Those of a list of boards whose kernels of a precision differ.
local function distinct(list, precision)
  return tally.distinct(list, function(board)
    return precision == "int8" and board.integer.name or board.bf16 and board.bf16.name
  end)
end

local natives = {}
for _, precision in ipairs(LOWER) do
  natives[precision] = {}
  for _, board in ipairs(distinct(tally.every, precision)) do
    if native[board.name] then table.insert(natives[precision], board) end
  end
end

local function class_of(board, precision) return arithmetic.class({ arithmetic = tally.class[board] }, precision) end

-- A digest is the one of tests/golden/digests.json.
local function same(digest, precision, name, board)
  local known = cases.known_to(class_of(board, precision), name)
  assert(digest == known, ("digest %s, in tests/golden/digests.json %s"):format(digest, known))
end

-- A command with the option of a precision.
local function with(precision, command)
  return table.move({ "--precision", precision }, 1, 2, #command + 1, command)
end

local function prompts_of(name, case)
  local path = ("%s/%s.json"):format(work, name)
  if not sys.exists(path) then sys.write_file(path, cases.prompts(name, case)) end
  return path
end

local function run(fw, name, case, ...)
  return cases.digest(tally.must { tally.program, "run", fw, "--image", ("%s/%s/image.npy"):format(cases.folder, name),
    "--prompts", prompts_of(name, case), "--digest", ... })
end

-- A case compiled for a board, and run. @param cflags of its Makefile, or nil: as it is shipped
local function compiled(precision, name, board, cflags, ...)
  local case, fw = cases.read(name), ("%s/%s-%s"):format(work, name, board)
  tally.must(with(precision, cases.build(name, case, board, fw, ...)))
  tally.must { "make", "-j2", "-C", fw, cflags and "CFLAGS=" .. cflags or nil }
  same(run(fw, name, case), precision, name, board)
  if native[board] then cases.self_test(fw) end
  sys.remove_tree(fw)
end

-- ---- golden cases ----

local EVERY_BOARD = "msa-2023-2d" -- windows that hang over the edge, adapters

local prefixes = { ... }
local function wanted(name)
  for _, prefix in ipairs(prefixes) do
    if name:sub(1, #prefix) == prefix then return true end
  end
  return #prefixes == 0
end

-- A case by the interpreter, in both classes or one, and on native boards: below the full tier one in four cases is, on
-- one board.
local function golden(precision, name)
  local plain = { "generic-c99", "generic-c99-nofma" }
  local key = precision .. name
  for _, board in ipairs(tally.full and plain or { tally.chosen(plain, key) }) do
    tally.test(("%s by the interpreter, %s"):format(name, class_of(board, precision)), function()
      local case = cases.read(name)
      same(cases.digest(tally.must(with(precision, cases.interpret(name, case, board, prompts_of(name, case))))),
        precision, name, board)
    end)
  end
  local here = natives[precision]
  local chosen = tally.chosen({ true, false, false, false }, key) and { tally.chosen(here, key) } or {}
  for _, board in ipairs((tally.full or name == EVERY_BOARD) and here or chosen) do
    tally.test(("%s in %s on %s"):format(name, precision, board.name), function()
      compiled(precision, name, board.name, name ~= EVERY_BOARD and "-O0" or board.name ~= tally.best and "-O1" or nil)
    end)
  end
end

local function by_compiler(precision, compiler, flags)
  tally.test(("%s in %s on %s by %s %s"):format(EVERY_BOARD, precision, tally.best, compiler, flags), function()
    local case, fw = cases.read(EVERY_BOARD), work .. "/by-" .. compiler
    tally.must(with(precision, cases.build(EVERY_BOARD, case, tally.best, fw)))
    tally.must { "make", "-B", "-j2", "-C", fw, "CC=" .. compiler, "CFLAGS=" .. flags }
    same(run(fw, EVERY_BOARD, case), precision, EVERY_BOARD, tally.best)
    sys.remove_tree(fw)
  end)
end

for _, precision in ipairs(LOWER) do
  for _, name in ipairs(sys.list(cases.folder)) do
    if cases.checkpoint(name) and wanted(name) and name ~= "sam-vit-b-1024-synthetic" then golden(precision, name) end
  end
  if wanted(EVERY_BOARD) then
    for _, one in ipairs(distinct(tally.emulated, precision)) do
      local title = ("%s in %s under the emulator of %s"):format(EVERY_BOARD, precision, one.name)
      if one.missing then tally.skip(title, one.missing)
      elseif not one.native then
        tally.test(title, function() compiled(precision, EVERY_BOARD, one.name) end)
      end
    end
    by_compiler(precision, "clang-14", "-O2")
    by_compiler(precision, "gcc", "-O0 -fsanitize=address,undefined")
    if precision == "int8" then by_compiler(precision, "gcc", "-O3") end
  end
end

-- ---- what builds may be beside ----

if #prefixes > 0 then return tally.finish() end

for _, one in ipairs { { "sam-2d", "--cores", "3" }, { "msa-2025-3d-no-chunk", "--cores", "2" },
  { "msa-2025-2d", "--weights", "stream" } } do
  for _, precision in ipairs(LOWER) do
    tally.test(("%s in %s"):format(table.concat(one, " "), precision), function()
      compiled(precision, one[1], tally.best, "-O0", table.unpack(one, 2))
    end)
  end
end

-- A script of a checkpoint all of whose layers that may be are of a precision, for a board that fetches panels ahead
-- however few they are, and whose second-level cache holds few hidden columns of an MLP.
-- @param upscaling where a layer has that name @param more lines of it
local function script_of(path, precision, checkpoint, dialect, resolution, board, upscaling, more)
  local layers = { ["decoder_*"] = precision, heads = precision, [upscaling and "upscaling" or "*masks"] = precision }
  local words = {}
  for _, name in ipairs(closed.sorted(layers)) do words[#words + 1] = ("[%q] = %q"):format(name, layers[name]) end
  sys.write_file(path, ([[return { checkpoint = %q, dialect = %q, resolution = %d, precision = %q,
    board = { like = %q, name = "ahead", summary = "fetches ahead", preference = 0, prefetch = 64,
      caches = { l1 = 32768, l2 = 65536 } },
    layer_precision = { %s }%s }]]):format(checkpoint, dialect, resolution, precision, board,
    table.concat(words, ", "), more or ""))
  return path
end

local function every_layer(precision, name, upscaling, board)
  tally.test(("%s with the decoder in %s on %s"):format(name, precision, board), function()
    local case, fw = cases.read(name), ("%s/%s-decoder"):format(work, name)
    local script = script_of(work .. "/decoder.lua", precision, cases.checkpoint(name), case.dialect,
      case.run_size or case.image_size, board, upscaling)
    local plain = cases.digest(tally.must { tally.program, "interpret", script, "--image",
      ("%s/%s/image.npy"):format(cases.folder, name), "--prompts", prompts_of(name, case), "--digest" })
    tally.must { tally.program, "build", script, "-o", fw }
    tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    assert(plain == run(fw, name, case), "another digest than the interpreter's")
    assert(sys.read_file(fw .. "/msa_kernels.c"):find("msa_prefetch(next + k", 1, true), "nothing is fetched ahead")
    cases.self_test(fw)
    sys.remove_tree(fw)
  end)
end

for _, precision in ipairs(LOWER) do
  -- The default board, and the first one whose products fetch ahead: that lays panels of whole numbers anew.
  local first = tally.best
  for i = #natives[precision], 1, -1 do
    if natives[precision][i].board.prefetch then first = natives[precision][i].name end
  end
  every_layer(precision, "msa-2025-2d", false, first)
  every_layer(precision, "efficient-sam-2d", true, tally.best)
end

-- An MLP whose hidden columns are made some at a time, and whose weights are larger than a buffer: of the smallest
-- published encoder. Pieces of whole numbers come twice.
local function in_pieces(precision, checkpoint, picture)
  local digests = {}
  local buffer = ({ int8 = 280000, bf16 = 540000, f32 = 1060000 })[precision] -- the decoder's attention takes as much
  for i, weights in ipairs { "", (", weights = \"stream\", stream_buffer = %d"):format(buffer) } do
    local fw = work .. "/pieces"
    local script = script_of(work .. "/pieces.lua", precision, checkpoint, "efficient-sam", 64, tally.best, true,
      weights)
    tally.must { tally.program, "build", script, "-o", fw }
    tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    digests[i] = cases.digest(tally.must { tally.program, "run", fw, "--image", picture, "--point", "20,20",
      "--digest" })
    local text = sys.read_file(fw .. "/msa_encoder.c")
    assert((sys.read_file(fw .. "/msa_kernels.c"):find("AT_MLP_LIN2_0", 1, true) ~= nil) ==
      (i == 1 and precision ~= "int8"), "an MLP in parts")
    assert((text:find("size_t group", 1, true) ~= nil) == (i == 2), "pieces")
    assert((text:find("size_t again", 1, true) ~= nil) == (i == 2 and precision == "int8"), "pieces that come again")
    sys.remove_tree(fw)
  end
  digests[3] = cases.digest(tally.must { tally.program, "interpret", work .. "/pieces.lua", "--image", picture,
    "--point", "20,20", "--digest" })
  assert(digests[1] == digests[2] and digests[1] == digests[3], "another digest")
end

tally.test("streamed in pieces: the digest of mapped weights", function()
  local checkpoint, picture = work .. "/vit_t.safetensors", work .. "/vit_t.npy"
  tally.must { tally.program, "synth", "--arch", "vit_t", "--resolution", "64", "--seed", "3", "-o", checkpoint,
    "--image-out", picture }
  for _, precision in ipairs { "f32", "bf16", "int8" } do in_pieces(precision, checkpoint, picture) end
end)

for _, precision in ipairs(LOWER) do
  tally.test(("banks: what they share they share in %s, too"):format(precision), function()
    cases.banks(work .. "/banks-" .. precision, function(fw)
      tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    end, "--precision", precision)
  end)
end

-- The check at opening, told that the first number of a pair comes first: so it finds a processor that sums otherwise.
local function other_order(board)
  local case, fw = cases.read(EVERY_BOARD), work .. "/other-order"
  tally.must(with("bf16", cases.build(EVERY_BOARD, case, board, fw)))
  local path = fw .. "/msa_kernels.c"
  local text = sys.read_file(path)
  local check = text:match "bool msa_pairs_in_order%(void%)\n(%b{})"
  local turned = check:gsub("msa_second%(word", "msa_FIRST(word"):gsub("msa_first%(word", "msa_second(word")
    :gsub("msa_FIRST", "msa_first")
  assert(turned ~= check, "the check is another one")
  local from, to = text:find(check, 1, true)
  sys.write_file(path, text:sub(1, from - 1) .. turned .. text:sub(to + 1))
  tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
  local status, output = sys.spawn { tally.program, "run", fw, "--modified", "--image",
    ("%s/%s/image.npy"):format(cases.folder, EVERY_BOARD), "--point", "20,20", "--digest", stdin = "/dev/null",
    stdout = "capture", stderr = "capture" }
  assert(status == 1 and output:find("sums bf16 otherwise", 1, true), output)
  sys.remove_tree(fw)
end

for _, one in ipairs(tally.every) do
  local title = one.board.bf16 and one.name .. ": a processor that sums pairs in another order is refused"
  if title and one.missing then tally.skip(title, one.missing)
  elseif title then tally.test(title, other_order, one.name) end
end

tally.test("an equalised build of float32 has float32's digest", function()
  local case, script = cases.read(EVERY_BOARD), work .. "/equalised.lua"
  sys.write_file(script, ("return { checkpoint = %q, dialect = %q, resolution = %d, equalise = true }"):format(
    cases.checkpoint(EVERY_BOARD), case.dialect, case.run_size or case.image_size))
  local digest = cases.digest(tally.must { tally.program, "interpret", script, "--board", "generic-c99", "--image",
    ("%s/%s/image.npy"):format(cases.folder, EVERY_BOARD), "--prompts", prompts_of(EVERY_BOARD, case), "--digest" })
  assert(digest == cases.known(EVERY_BOARD, "generic-c99"), "another digest than golden/digests.json")
end)

tally.test("inspect says beforehand what the weights of builds come to", function()
  local report = json.decode(tally.must { tally.program, "inspect", tally.head, "--json" }, "inspect")
  assert(#report.built == #arithmetic.precisions, ("%d precisions"):format(#report.built))
  for _, one in ipairs(report.built) do
    local fw = work .. "/inspected"
    tally.must { tally.program, "build", tally.head, "--board", "generic-c99", "--precision", one.precision, "-o", fw }
    local made = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
    assert(one.bytes == made.weights_bytes, ("%s: %d bytes, built %d"):format(one.precision, one.bytes,
      made.weights_bytes))
    assert(json.encode(one.by_precision) == json.encode(made.weights_by_precision), one.precision)
    sys.remove_tree(fw)
  end
end)

tally.test("interpret says how far each layer is from float32", function()
  local case, script = cases.read(EVERY_BOARD), work .. "/errors.lua"
  local function errors(more)
    sys.write_file(script, ("return { checkpoint = %q, dialect = %q, resolution = %d, board = \"generic-c99\", %s }")
      :format(cases.checkpoint(EVERY_BOARD), case.dialect, case.run_size or case.image_size, more))
    local found, names = {}, {}
    for line in tally.must({ tally.program, "interpret", script, "--layers", "--image",
      ("%s/%s/image.npy"):format(cases.folder, EVERY_BOARD), "--point", "20,20" }):gmatch "[^\n]+" do
      local name, own, after = line:match "^(%S+)%s+int8%s+([%d.]+) %%%s+([%d.]+) %%$"
      if not name then name, after = line:match "^(%S+)%s+([%d.]+) %%$" end
      if name then found[name], names[#names + 1] = { own = tonumber(own), after = tonumber(after) }, name end
    end
    return found, names
  end
  local all, names = errors 'precision = "int8"'
  assert(#names > 6, #names)
  for _, name in ipairs(names) do
    local one = all[name]
    assert((one.own == nil) == (name == "embedding" or name == "logits"), name)
    assert(one.own == nil or one.own > 0.05 and one.own < 5, ("%s: %s"):format(name, one.own))
    assert(one.after > 0.01 and one.after < 10, ("%s after: %g"):format(name, one.after))
  end
  local neck, only = errors 'layer_precision = { neck = "int8" }'
  assert(#only == 3 and neck.neck.own and neck.embedding.after < all.embedding.after, table.concat(only, " "))
end)

tally.test("layers by name: a pattern, an unknown name, a layer without such products, two that differ", function()
  local function attempt(layers)
    sys.write_file(work .. "/layers.lua", ("return { checkpoint = %q, dialect = \"msa-paper\", layer_precision = %s }")
      :format(tally.head, layers))
    local status, output = sys.spawn { tally.program, "plan", work .. "/layers.lua", "--board", tally.best,
      stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    return status, output:gsub("%s+", " ")
  end
  local status, output = attempt '{ ["block_*_mlp"] = "int8", masks = "int8" }'
  assert(status == 0, output)
  for layers, text in pairs { ['{ neckk = "int8" }'] = "found neckk, which none has (did you mean neck?)",
    ['{ patch_embed = "int8" }'] = "expected f32 for patch_embed",
    ['{ ["block_*"] = "int8", ["*_mlp"] = "f32" }'] = "expected one precision for layer block_00_mlp",
    ['{ neck = "int7" }'] = "found int7 (did you mean int8?)" } do
    status, output = attempt(layers)
    assert(status == 1 and output:find(text, 1, true), output)
  end
end)

-- ---- what the demos lose ----

local read, dice = require "masks".read, require "masks".dice

local function iou(a, b)
  local alike = dice(a, b)
  return alike / (2 - alike)
end

-- The 2-D demo's checkpoint with outliers that leave its function as it is: in each block two channels of each norm are
-- 100 times as large, and what takes them a hundredth; keys have biases of 30.
local function with_outliers(path)
  local tensor = require "msagen.tensor"
  local file <close> = require("msagen.checkpoint").open(tally.head)
  local list, changed = {}, {}
  local function change(name, by)
    local t = changed[name] or file:tensor(name)
    local values, width = t:totable(), t.shape[#t.shape]
    for i, value in ipairs(values) do values[i] = by(value, (i - 1) % width, i - 1) end
    changed[name] = tensor.from(values, t.shape)
  end
  for _, name in ipairs(file:names()) do
    local block, norm = name:match "^(.*blocks%.%d+%.)norm(%d)%.weight$"
    if block then
      local first = 7 + 11 * math.tointeger(block:match "(%d+)%.$")
      local function large(c) return c == first or c == first + 40 end
      for _, part in ipairs { "weight", "bias" } do
        change(("%snorm%s.%s"):format(block, norm, part), function(v, c) return large(c) and v * 100 or v end)
      end
      for _, taker in ipairs(norm == "1" and { "attn.qkv" } or { "mlp.lin1", "MLP_Adapter.D_fc1" }) do
        change(block .. taker .. ".weight", function(v, c) return large(c) and v / 100 or v end)
      end
      if norm == "1" then
        change(block .. "attn.qkv.bias", function(v, _, i)
          return i // 128 == 1 and v + (i % 3 == 0 and 30 or -30) or v
        end)
      end
    end
  end
  for i, name in ipairs(file:names()) do list[i] = { name, changed[name] or file:tensor(name) } end
  require("msagen.safetensors").write(path, list, {})
end

tally.test("outliers that the function does not see: equalising keeps the mask", function()
  local checkpoint = work .. "/outliers.safetensors"
  with_outliers(checkpoint)
  local folder, masks = tally.source .. "/demo/fetal-head", {}
  local expected = json.decode(sys.read_file(folder .. "/expected.json"), "expected.json")
  for name, words in pairs { f32 = 'precision = "f32"', int8 = 'precision = "int8"',
    plain = 'precision = "int8", equalise = false' } do
    local script, fw, mask = ("%s/%s.lua"):format(work, name), ("%s/outliers-%s"):format(work, name),
      ("%s/outliers-%s.png"):format(work, name)
    sys.write_file(script, ("return { checkpoint = %q, dialect = %q, board = %q, %s }"):format(checkpoint,
      expected.dialect, tally.best, words))
    tally.must { tally.program, "build", script, "-o", fw }
    tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    tally.must { tally.program, "run", fw, "--image", folder .. "/image.png", "--point",
      ("%d,%d"):format(table.unpack(expected.point)), "--mask-out", mask }
    masks[name] = read(mask)
  end
  local equalised, plain = iou(masks.f32, masks.int8), iou(masks.f32, masks.plain)
  assert(equalised >= 0.99, ("IoU %.4f"):format(equalised))
  assert(plain < equalised, ("IoU %.4f without"):format(plain))
  return ("IoU with float32's mask %.4f, without equalising %.4f"):format(equalised, plain)
end)

for _, demo in ipairs { "fetal-head", "carotid" } do
  tally.test(demo .. ": Dice within 0.005 of float32's, masks alike", function()
    local folder = tally.source .. "/demo/" .. demo
    local expected = json.decode(sys.read_file(folder .. "/expected.json"), "expected.json")
    local masks = {}
    for _, precision in ipairs { "f32", "int8" } do
      local fw, mask = ("%s/%s-%s"):format(work, demo, precision), ("%s/%s-%s.png"):format(work, demo, precision)
      local words = { tally.program, "build", demo == "carotid" and folder .. "/delta.safetensors" or tally.head,
        "--dialect", expected.dialect, "--board", tally.best, "--precision", precision, "-o", fw }
      if demo == "carotid" then words[#words + 1], words[#words + 2] = "--base", tally.head end
      tally.must(words)
      tally.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
      tally.must { tally.program, "run", fw, "--image", folder .. "/image.png", "--point",
        ("%d,%d"):format(table.unpack(expected.point)), "--mask-out", mask }
      masks[precision] = read(mask)
    end
    local truth = read(folder .. "/truth.png")
    local before, after = dice(masks.f32, truth), dice(masks.int8, truth)
    local alike = iou(masks.f32, masks.int8)
    assert(before - after <= 0.005, ("Dice %.4f, of float32 %.4f"):format(after, before))
    assert(alike >= 0.98, ("IoU with float32's mask %.4f"):format(alike))
    return ("Dice %.4f, of float32 %.4f; IoU of both %.4f"):format(after, before, alike)
  end)
end

return tally.finish()
