-- SPDX-License-Identifier: Apache-2.0
-- Training by generated code: on every board, native or under its emulator, the digests of the naive kernels; without a
-- warning, freestanding, under another prefix; a board without an operating system that trains on embeddings; gradients
-- that are subnormal, where vectors flush those; misuse, under sanitizers; several cores.
local sys = require "msagen.sys"
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local tensor = require "msagen.tensor"
local boards = require "target.boards"
local tally = require "tally"
local only = arg[1] -- tests whose names have this text
if only then
  local all = tally.test
  function tally.test(name, ...)
    if name:find(only, 1, true) then return all(name, ...) end
  end
end
local must = tally.must
local case, folder, generated, made, sets, shards = require "train.case", require "run.folder",
  require "train.generated", require "train.made", require "train.sets", require "import.shards"

local golden = tally.tests .. "/golden-train"
local work = tally.folder "train-boards"
local digests = json.decode(sys.read_file(golden .. "/digests.json"), "digests.json")
local CASES = { "msa-2023-2d", "msa-2023-3d", "msa-2025-2d", "msa-2025-2d-lora", "msa-paper-2d", "sam-2d-loss" }
local STRICT = "-O1 -Werror"
-- Of the small case: what trains, and the checkpoint.
local SMALL = golden .. "/msa-2023-2d"
local ADAM = { kind = "adam", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8 }
local BCE = { kind = "bce", pos_weight = 2 }

-- ---- the golden cases ----

-- @param options cores, cc, cflags of train/generated.lua
local function golden_case(name, board, options)
  local at = ("%s/%s-%s-%s"):format(work, board.name, name, options.cc or options.cores or "")
  local digest = case.run(golden .. "/" .. name, function(model, names, about)
    for key, value in pairs(options) do about[key] = value end
    about.board, about.dir = board.name, at .. "/code"
    return generated.of(model, names, about)
  end, { out = at })
  sys.remove_tree(at)
  local known = digests[board.arithmetic][name]
  assert(digest == known, ("digest %s, by the naive kernels %s"):format(digest, known))
end

-- Compilers of a board. Below the full tier tests/run_train.lua has boards that this CPU runs, by their own.
local function compilers(board)
  if board.compiler ~= "gcc" and board.compiler ~= "cc" then
    return (tally.full or board.name ~= "cortex-a76") and { false } or {}
  end
  if tally.full then return { false, "clang-14" } end
  return (board.name == tally.best or board.name == "generic-c99") and { "clang-14" } or {}
end

for _, board in ipairs(boards.all()) do
  local missing
  if board.hosted and not boards.native(board) then
    for _, one in ipairs(tally.emulated) do
      if one.name == board.name then missing = one.missing end
    end
  end
  local usable = board.hosted and (boards.native(board) or board.emulator)
  if usable and missing then tally.skip(board.name, missing)
  elseif usable then
    for _, name in ipairs(tally.full and CASES or { tally.chosen(CASES, board.name) }) do
      for _, cc in ipairs(compilers(board)) do
        tally.test(("%s: %s%s"):format(board.name, name, cc and ", by " .. cc or ""), golden_case, name, board,
          { cc = cc or nil, cflags = STRICT })
      end
    end
  end
end

local best = boards.named(tally.best, "test")
for _, cores in ipairs(tally.full and { 2, 3, 8 } or { 3 }) do
  for _, name in ipairs(tally.full and CASES or { "msa-2025-2d" }) do
    tally.test(("%d cores: %s"):format(cores, name), golden_case, name, best, { cores = cores, cflags = STRICT })
  end
end

-- ---- what a folder is ----

local function build(fw, ...) return must { tally.program, "build", "-o", fw, ... } end

-- What is undefined in a library; in the product's objects nothing else is.
local function undefined(tools, library)
  local own, others = {}, {}
  for line in must { tools .. "nm", library }:gmatch "[^\n]+" do
    local kind, name = line:match "(%a) (%S+)$"
    if kind == "U" then others[name] = true elseif kind then own[name] = true end
  end
  local list = {}
  for name in pairs(others) do
    if not own[name] then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local MEMORY = { memcpy = true, memset = true, memmove = true, memcmp = true }

local function freestanding(tools, library)
  for _, name in ipairs(undefined(tools, library)) do assert(MEMORY[name], "undefined: " .. name) end
end

local function refused(words, why)
  words.stdin, words.stdout, words.stderr = "/dev/null", "capture", "capture"
  local status, output = sys.spawn(words)
  assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(why, 1, true), output)
end

local strict = "-O1 -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror"

tally.test("a folder under another prefix: no warning by either compiler, nothing undefined but memory functions",
  function()
    local fw = work .. "/left"
    build(fw, SMALL .. "/checkpoint.pth", "--train", "default", "--batch", "3", "--prefix", "left", "--cores", "2")
    for _, cc in ipairs { "gcc", "clang-14" } do
      must { "make", "-B", "-j2", "-C", fw, "CC=" .. cc, "CFLAGS=" .. strict, "all", "weights" }
      freestanding("", fw .. "/libleft_train.a")
    end
    for _, name in ipairs(sys.list(fw)) do
      if name:match "%.[ch]$" then
        local text = sys.read_file(fw .. "/" .. name)
        assert(text:match "^/%* SPDX%-License%-Identifier: 0BSD", name .. " has no 0BSD line")
        assert(not text:find "%f[%w_]msa_" and not text:find "%f[%w_]MSA_", name .. " has another prefix, too")
        assert(not text:find(work, 1, true) and not text:find(tally.source, 1, true), name .. " names a path")
      end
    end
    must { "make", "-C", fw, "clean" }
    assert(not sys.exists(fw .. "/libleft_train.a") and not sys.exists(fw .. "/left_train.o"), "left after make clean")
  end)

tally.test("the same build elsewhere gives the same bytes, and replaces its own output", function()
  local first, second = work .. "/once", work .. "/elsewhere/twice"
  sys.mkdir_p(work .. "/elsewhere")
  for _, fw in ipairs { first, second, first } do build(fw, SMALL .. "/checkpoint.pth", "--train", "masks") end
  must { "diff", "-r", first, second }
end)

tally.test("verbs that segment refuse it, and options of training without --train are refused", function()
  refused({ tally.program, "run", work .. "/once", "--image", SMALL .. "/image.npy", "--point", "3,4" },
    "expected a folder of a network that segments, found one of a training step")
  local file = SMALL .. "/checkpoint.pth"
  refused({ tally.program, "build", file, "-o", work .. "/none", "--batch", "2" },
    "batch: expected with train (--train), found without")
  refused({ tally.program, "build", file, "-o", work .. "/none", "--train", "mask" }, "did you mean masks")
  refused({ tally.program, "build", file, "-o", work .. "/none", "--train", "encoder", "--from", "embedding" },
    "--from embedding: expected tensors of the prompt encoder and the mask decoder to train")
  refused({ tally.program, "build", file, "-o", work .. "/none", "--train", "masks", "--weights", "stream" },
    "--weights: expected without --train, found both")
  refused({ tally.program, "train", "--case", SMALL, "-o", work .. "/none", "--board", "cortex-m7" },
    "--board: expected a board with an operating system, found cortex-m7")
  assert(not sys.exists(work .. "/none"))
end)

-- ---- embeddings in place of pictures; boards without an operating system ----

local function model_of(file, dialect) return (made.model(shards.open(file), { dialect = dialect })) end

-- A trainer whose requests and answers are kept.
local function recorded(model, wanted, options)
  local trainer = generated.of(model, (sets.of(model, wanted, "test")), options)
  local process, asked, said = trainer.process, {}, {}
  trainer.process = { write = function(_, text)
    asked[#asked + 1] = text
    return process:write(text)
  end, read = function(_, count)
    local text = process:read(count)
    said[#said + 1] = text
    return text
  end, close = function() return process:close() end }
  return trainer, asked, said
end

local function target_of(side)
  local values = {}
  for i = 1, side * side do values[i] = string.char((i - 1) % side < side // 3 and 1 or 0) end
  return tensor.frombytes(table.concat(values), "u8", { 1, side, side })
end

-- Some steps with prompts on one picture or embedding. @return the digest, and the last gradient
local function steps(trainer, begin, count, weight)
  local side, gradient = 4 * trainer.model.grid, nil
  for step = 1, count do
    begin(trainer)
    for slice = 0, trainer.model.depth - 1 do
      trainer:decode { slice = slice, points = { { 3.5 + step, 6, 1 }, { 9, 2 + slice, 0 } }, multimask = false }
      trainer:backward { target = target_of(side), loss = BCE, weight = weight or 1 }
    end
    trainer:image_end()
    gradient = trainer:values "gradient"
    trainer:update(ADAM)
  end
  return sha256.hex(trainer:values("parameters"):tobytes()), gradient
end

local function picture_of(side)
  local values = {}
  for i = 0, 3 * side * side - 1 do values[i + 1] = string.char((i * 37 + i // 31) % 256) end
  return tensor.frombytes(table.concat(values), "u8", { side, side, 3 })
end

-- A loss that weighs so little has gradients of which some are subnormal.
local TINY = 2.0 ^ -132

-- A step with such a loss, and two more. @return the digest
local function trained(trainer, begin)
  steps(trainer, begin, 1, TINY)
  return (steps(trainer, begin, 2))
end

-- The embedding of a picture, and the digest after some steps on it, by a build that has the encoder.
local function with_encoder(model, wanted, side)
  local names, embedding = sets.of(model, wanted, "test"), nil
  local trainer = generated.of(model, names, { board = tally.best, scores = false })
  local digest = trained(trainer, function()
    trainer:encode(picture_of(side))
    embedding = trainer:embedding()
  end)
  trainer:close()
  return embedding, digest
end

-- Requests and answers on the workstation, of a build without an encoder.
local function on_embeddings(model, wanted, embedding, side)
  local trainer, asked, said = recorded(model, wanted, { board = tally.best, from = "embedding",
    scores = false })
  local digest = trained(trainer, function() trainer:set_embedding(embedding, side, side) end)
  trainer:close()
  return digest, table.concat(asked), table.concat(said)
end

local BARE = { { name = "the small case's decoder", file = SMALL .. "/checkpoint.pth", train = "masks", side = 96 },
  { name = "the demo's last attention", file = tally.head, dialect = "msa-paper",
    train = "mask_decoder%.transformer%.final.*", side = 200 } }

local function on_bare(board, one, request, said)
  local fw = ("%s/%s-%s"):format(work, board.name, one.train:gsub("%A", ""))
  local command = { one.file, "--train", one.train, "--from", "embedding", "--board", board.name }
  if one.dialect then table.move({ "--dialect", one.dialect }, 1, 2, #command + 1, command) end
  build(fw, table.unpack(command))
  must { "make", "-j2", "-C", fw, "CFLAGS=" .. (board.optimisation or "-O2") .. " -Werror", "all", "lib", "start" }
  freestanding(board.compiler:match "^(.*)gcc$", fw .. "/libmsa_train.a")
  local manifest = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest")
  sys.write_file(fw .. "/request", request)
  local words = folder.command({ emulator = board.emulator }, { fw .. "/" .. manifest.runner, "weights",
    fw .. "/request", fw .. "/answer" })
  must(words)
  local answer = sys.read_file(fw .. "/answer")
  assert(answer == said, ("another answer than the workstation's: %d bytes, expected %d"):format(#answer, #said))
  return ("arena %d bytes"):format(manifest.arena_bytes)
end

local function bare_missing(board)
  for _, program in ipairs { board.emulator[1], board.compiler } do
    if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null",
      stderr = "/dev/null" }) then return "there is no " .. program end
  end
end

for _, one in ipairs(tally.full and BARE or { BARE[1] }) do
  local request, said
  tally.test(one.name .. ": steps on a kept embedding are those on the picture", function()
    local model = model_of(one.file, one.dialect)
    local embedding, expected = with_encoder(model, one.train, one.side)
    local digest
    digest, request, said = on_embeddings(model_of(one.file, one.dialect), one.train, embedding, one.side)
    assert(digest == expected, "another digest")
  end)
  for _, board in ipairs(boards.all()) do
    if not board.hosted and board.emulator then
      local why = bare_missing(board)
      if why then tally.skip(board.name, why)
      else
        tally.test(("%s: %s, without an operating system: every answer is the workstation's"):format(board.name,
          one.name), function() return on_bare(board, one, assert(request, "no request"), said) end)
      end
    end
  end
end

-- ---- gradients that are subnormal ----

local function subnormals(gradient)
  local count = 0
  for _, x in ipairs(gradient:totable()) do
    if x ~= 0 and math.abs(x) < 2.0 ^ -126 then count = count + 1 end
  end
  return count
end

local function tiny_gradient(model, names, options)
  local trainer = require(options.class and "train.interpreted" or "train.generated").of(model, names, options)
  local _, gradient = steps(trainer, function() trainer:encode(picture_of(56)) end, 1, TINY)
  if trainer.close then trainer:close() end
  return gradient
end

for _, one in ipairs(tally.emulated) do
  if one.board.isa.flushes and not one.missing then
    tally.test(one.name .. ": vectors flush subnormals, gradients keep them", function()
      local model = model_of(SMALL .. "/checkpoint.pth")
      local names = sets.of(model, nil, "test")
      local expected = tiny_gradient(model, names, { class = one.board.arithmetic })
      local count = subnormals(expected)
      assert(count > 1000, count .. " subnormal gradients")
      assert(tiny_gradient(model, names, { board = one.name }):tobytes() == expected:tobytes(), "other gradients")
      return count .. " subnormal gradients"
    end)
  end
end

-- ---- the demo's adapters, with pictures of its data set ----

local function demo_digest(board)
  local out = ("%s/demo-%s"):format(work, board)
  local said = must { tally.program, "train", "--data", tally.source .. "/demo/data/fetal-head", "--labels", "head=255",
    "--base", tally.head, "--dialect", "msa-paper", "--board", board, "--steps",
    tally.full and "3" or "1", "--batch", tally.full and "2" or "1", "--prompts", "msa", "--loss", "bce", "--seed", "3",
    "-o", out .. ".safetensors" }
  return said:match "\ndigest (%x+)\n" or error(said)
end

local AARCH64, expected = {}, nil
for _, one in ipairs(tally.emulated) do
  if one.board.isa.name == "neon" or one.name:match "^cortex%-a%d%d$" then AARCH64[#AARCH64 + 1] = one end
end
for _, one in ipairs(tally.full and AARCH64 or { AARCH64[#AARCH64] }) do
  if one.missing then tally.skip(one.name, one.missing)
  else
    tally.test(one.name .. ": the demo trained on its data has the workstation's digest", function()
      expected = expected or demo_digest(tally.best)
      assert(demo_digest(one.name) == expected, "another digest than " .. tally.best)
    end)
  end
end

-- ---- the C API ----

-- tests/api/train.c with a build, compiled with these flags.
local function api(fw, flags, ...)
  build(fw, SMALL .. "/checkpoint.pth", "--batch", "3", ...)
  local threads = sys.exists(fw .. "/msa_threads.c")
  local goals = { "make", "-j2", "-C", fw, "CC=gcc", "CFLAGS=-O1 -g -Werror " .. flags, "lib",
    threads and "msa_threads.o" or nil }
  must(goals)
  local compile = { "gcc", "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1", "-g", "-pthread", "-I", fw,
    "-o", fw .. "/api" }
  for flag in flags:gmatch "%S+" do compile[#compile + 1] = flag end
  compile[#compile + 1] = tally.tests .. "/api/train.c"
  if threads then compile[#compile + 1] = fw .. "/msa_threads.o" end
  compile[#compile + 1] = fw .. "/libmsa_train.a"
  compile[#compile + 1] = "-lm"
  must(compile)
  return (must { fw .. "/api", fw .. "/msa_weights.bin", env = { TSAN_OPTIONS = "halt_on_error=1" } }:gsub("%s+$", ""))
end

tally.test("the C API refuses misuse and repeats itself, under sanitizers", function()
  local flags = "-fsanitize=address,undefined -fno-sanitize-recover=all"
  if tally.full then api(work .. "/sanitized-masks", flags, "--train", "masks") end
  return api(work .. "/sanitized", flags, "--train", "default")
end)

tally.test("no core reads what another writes, under ThreadSanitizer", function()
  return api(work .. "/threads", "-fsanitize=thread", "--train", "default", "--cores", "2")
end)

-- ---- the example ----

tally.test("the example in docs/device-training.md trains: C99 and C++11, without a warning", function()
  local page = sys.read_file(tally.source .. "/docs/device-training.md")
  local text = page:match '\n(    #include "msa_train.h"\n.-\n    }\n)\n%S'
  assert(text, "docs/device-training.md has no example")
  local example, fw = work .. "/example.c", work .. "/example"
  sys.write_file(example, (text:gsub("\n    ", "\n"):gsub("^    ", "")))
  build(fw, SMALL .. "/checkpoint.pth", "--train", "default", "--batch", "2")
  for _, compiler in ipairs { { "gcc", "-std=c99" }, { "clang-14", "-std=c99" },
    { "g++", "-std=c++11", "-Wold-style-cast", "-x", "c++" } } do
    must(table.move({ "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only", "-I", fw, example },
      1, 9, #compiler + 1, compiler))
  end
  must { "make", "-j2", "-C", fw, "CFLAGS=-O1", "lib", "weights" }
  sys.write_file(work .. "/main.c", [[
#include "example.c"
#include <stdio.h>
int main(void)
{
    static uint8_t pixels[2][40 * 40 * 3], target[2][MSA_TRAIN_MASK_SIDE * MSA_TRAIN_MASK_SIDE];
    const float clicks[2][2] = {{3.0f, 7.0f}, {20.0f, 30.0f}};
    double first = 0.0, last = 0.0;
    for (size_t i = 0; i < 40 * 40 * 3; ++i) {
        pixels[0][i] = (uint8_t)(i * 37);
        pixels[1][i] = (uint8_t)(i / 3);
    }
    for (size_t i = 0; i < 200; ++i) target[0][i] = target[1][2 * i] = 1;
    if (train_begin() != MSA_OK) return 1;
    if (train_on(pixels[0], pixels[1], 40, 40, clicks, target[0], target[1], &first) != MSA_OK) return 1;
    for (int i = 0; i < 5; ++i)
        if (train_on(pixels[0], pixels[1], 40, 40, clicks, target[0], target[1], &last) != MSA_OK) return 2;
    printf("loss %g, then %g\n", first, last);
    return last < first && trained()[0] != 0.0f ? 0 : 3;
}
]])
  must { "gcc", "-std=c99", "-O1", "-I", fw, "-I", work, "-o", work .. "/trains", work .. "/main.c",
    fw .. "/msa_weights.o", fw .. "/libmsa_train.a" }
  return (must { work .. "/trains" }:gsub("%s+$", ""))
end)

return tally.finish()
