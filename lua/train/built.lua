-- SPDX-License-Identifier: Apache-2.0
--- A training network compiled: the folder of C of a training build.

local boards = require "target.boards"
local arithmetic = require "target.arithmetic"
local emit = require "emit.emit"
local fail = require "support.fail"
local json = require "msagen.json"
local kernels = require "kernels.kernels"
local import = require "import.import"
local losses = require "train.losses"
local lowered = require "train.lowered"
local made_of = require "train.made"
local network = require "train.network"
local output_folder = require "emit.output_folder"
local placement = require "estimate.placement"
local prefixes = require "emit.prefix"
local preparation = require "import.preparation"
local sets = require "train.sets"
local shards = require "import.shards"
local split = require "schedule.split"
local start_files = require "emit.start_files"
local sys = require "msagen.sys"
local training = require "emit.training"

local built = {}

local RUNNER_FOLDER = require("run.made").RUNNER_FOLDER

-- The test bench; it and the weights in a folder, for prefix msa.
local BENCH = "msa_train_run"
built.PROGRAM, built.WEIGHTS = RUNNER_FOLDER .. "/" .. BENCH, "msa_weights.bin"

-- Of the runtime: files of all builds, and of training ones, in their own folder there.
local RUNTIME = { "msa_check", "msa_crc32c", "msa_cycles", "msa_hooks", "msa_image", "msa_image_line",
  "msa_prompt", "msa_status" }
local TRAINING = { "msa_gradient", "msa_loss", "msa_optimiser", "msa_prompt_rows" }
local PRETRAINING = { "msa_gradient", "msa_optimiser", "msa_pretrain" }
local HEADERS = { "msa.h", "msa_arith.h", "msa_runtime.h" }
local TRAINING_HEADERS = { "msa_gradient.h", "msa_loss.h", "msa_optimiser.h", "msa_prompt_rows.h", "msa_train_arith.h" }

local function objects_of(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = name .. ".o" end
  return list
end

-- The files that are copied: name in the folder -> path in the runtime; and what the Makefile is told of them.
local function copies_of(build)
  local list, objects, headers = {}, {}, { "msa_train.h", "msa_train_internal.h", "msa_kernels.h", "msa_simd.h" }
  local function source(name, from)
    list[name .. ".c"], objects[#objects + 1] = from .. name .. ".c", name .. ".o"
  end
  local function header(name, from) list[name], headers[#headers + 1] = from .. name, name end
  for _, name in ipairs(RUNTIME) do
    if name ~= "msa_prompt" or not build.net.objective then source(name, "") end
  end
  if build.from ~= "embedding" then
    source(preparation.resamplings[build.model.resampling].file, "")
    if not build.model.normalise.mean then source("msa_range", "") end
  end
  if build.model.places then
    source("msa_places", "")
    header("msa_places.h", "")
  end
  if build.made.cores > 1 then
    source("msa_cores", "")
    list["msa_threads.c"] = "msa_threads.c"
    header("msa_threads.h", "")
  end
  for _, name in ipairs(build.net.objective and PRETRAINING or TRAINING) do source(name, "train/") end
  if build.net.objective then header("msa_pretrain.h", "train/") end
  for _, name in ipairs(HEADERS) do header(name, "") end
  for _, name in ipairs(TRAINING_HEADERS) do header(name, "train/") end
  list[built.PROGRAM .. ".c"] = built.PROGRAM .. ".c"
  local start = build.board.start or { product = {}, runner = {} }
  return list, { what = "the training program", library = "msa_train", bench = BENCH,
    objects = { "msa_train.o", "msa_train_layers.o", "msa_kernels.o" }, runtime_objects = objects, headers = headers,
    runner_folder = RUNNER_FOLDER, runner = { BENCH, table.unpack(start.runner) }, runner_headers = {},
    start_objects = objects_of(start.product), extras = {} }
end

-- Bytes that an arena may have on a board that says which memory holds it; nil where it does not.
local function room_of(board)
  if board.hosted then return nil end
  local most
  for _, memory in ipairs(boards.memories(board)) do
    if placement.may_hold(memory, "arena") then
      local room = memory.bytes - math.max(memory.reserved or 0, board.stack or 0)
      most = math.max(most or 0, room)
    end
  end
  return most
end

--- Lower a network for a board. @param model its description @param names what trains
-- @param options { board = name or nil, cores, batch, target_side, scores, from = "image" or "embedding", as network.of
-- has it, or "pass"; arena_limit, keep, where; network: function() -> the network anew, in place of network.of's }
-- @return build: { model, net, made, board, kernels, arithmetic, batch, target_side, from }
function built.lower(model, names, options)
  local where = options.where or "train"
  local board = options.board and boards.named(options.board, where .. ": board") or boards.best()
  local set = kernels.new(board.isa, board, msagen.datadir .. "/templates")
  local cores = options.cores or 1
  if cores > (board.cores or split.MOST) then
    fail("--cores: expected at most %d on %s, found %d", board.cores or split.MOST, board.name, cores)
  end
  set.cores = cores
  local from, scores = options.from or "image", options.scores ~= false
  local again = options.network
    or function() return network.of(model, names, { scores = scores, from = from }) end
  local net = again()
  if #net.parameters == 0 then fail("%s: expected tensors that train, found none", where) end
  local build = { model = model, board = board, kernels = set, batch = options.batch or 1, from = from,
    scores = scores,
    target_side = options.target_side or math.max(model.image_size, 4 * model.grid), precision = arithmetic.DEFAULT }
  build.arithmetic = arithmetic.class(board, build.precision)
  build.made = lowered.of(again, model, board, { kernels = set, cores = cores, batch = build.batch,
    target_side = build.target_side, keep = options.keep, apart = options.apart,
    arena_limit = options.arena_limit or room_of(board) })
  local most, arena = 2 ^ (board.address_bits or 47), build.made.memory.bytes
  if arena > most then
    fail("%s: expected an arena that %s can address, at most %.0f bytes, found %d: --arena-limit", where, board.name,
      most, arena)
  end
  build.net = build.made.net
  return build
end

local function manifest(build, blob, files, rename)
  local made, model, null = build.made, build.model, json.null
  local tensors, groups = {}, {}
  for i, one in ipairs(made.trained.list) do tensors[i] = { name = one.name, shape = json.array(one.shape) } end
  for i, one in ipairs(made.groups) do
    groups[i] = { name = one.label, phase = one.phase, macs = one.macs }
  end
  return { generator = "msagen", manifest_sha256 = "", version = msagen.version, kind = "training",
    board = build.board.name, hosted = build.board.hosted, requires = json.array(build.board.requires),
    emulator = build.board.emulator and json.array(build.board.emulator) or null,
    emulator_lost = build.board.emulator_lost or null, prefix = build.prefix,
    runner = rename(built.PROGRAM), weights = rename(built.WEIGHTS), arithmetic = build.arithmetic,
    checkpoint = { sha256 = model.source.sha256, format = model.source.format, dialect = model.dialect },
    input_size = model.image_size, depth = model.depth, grid = model.grid, out = model.out,
    masks = model.decoder.masks, from = build.from, scores = build.scores,
    cores = made.cores, batch = build.batch, target_side = build.target_side, macs = made.macs,
    macs_again = made.macs_again, arena_bytes = made.memory.bytes, arena_bound_bytes = made.memory.bound,
    weights_bytes = blob.bytes, weights_sha256 = blob.sha256, model_hash = blob.model_hash,
    trained = json.array(tensors), without_gradient = json.array(build.net.without), layers = json.array(groups),
    files = files }
end

-- All texts of the folder: name -> text, for prefix msa.
local function texts_of(build, blob)
  local copies, info = copies_of(build)
  local texts, board = training.texts(build, blob, info), build.board
  for name, from in pairs(copies) do texts[name] = sys.read_file(msagen.datadir .. "/runtime/" .. from) end
  texts["msa.h"] = emit.version(texts["msa.h"])
  texts["msa_arith.h"] = emit.arith(texts["msa_arith.h"], build.arithmetic)
  if board.start then
    local sizes = { arena = build.made.memory.bytes, weights = blob.bytes, code = 0 }
    start_files.add(texts, board, placement.on(board, nil, sizes), emit.made_by(), RUNNER_FOLDER)
  end
  return texts
end

--- Write the folder. @param build built.lower's @param options { prefix, progress = function(text, done, total), files:
-- open checkpoints, which must be as they were when the weights were read } or nil
function built.write(build, dir, options)
  options = options or {}
  local target = output_folder.open(dir)
  build.prefix = options.prefix or "msa"
  local rename = prefixes.renamer(build.prefix)
  local ok, message = pcall(function()
    for _, file in ipairs(options.files or {}) do file:sha256() end
    local work = target:stage()
    local blob = training.weights(build, work .. "/" .. rename(built.WEIGHTS), options.progress or function() end)
    for _, file in ipairs(options.files or {}) do file:forget() end
    local texts = texts_of(build, blob)
    for _, file in ipairs(options.files or {}) do file:confirm() end
    output_folder.write(work, texts, rename, function(files) return manifest(build, blob, files, rename) end)
    target:commit()
  end)
  target:close()
  if not ok then error(target:renamed(message), 0) end
end

-- ---- of a device ----

-- Fields of a device that training builds have not.
local INFERENCE = { "frontend", "banks", "text_prompts", "weights", "stream_buffer", "guards", "prepare" }

local NETWORK = { "dialect", "resolution", "depth", "chunk", "classes", "decoder_heads", "global_blocks", "click_order",
  "lora", "init", "seed", "weights_key", "ignore" }

-- The model of a device's checkpoint: with adapters or LoRA pairs as a training begins with them, where it lacks them.
local function model_of(device, where)
  local options, files = {}, {}
  for _, field in ipairs(NETWORK) do options[field] = device[field] end
  local function open(path)
    files[#files + 1] = shards.open(path, device.weights_key)
    return files[#files]
  end
  if not device.checkpoint then fail("%s: checkpoint: expected a path, found none", where) end
  local file = open(device.checkpoint)
  if not device.base then
    local model, fresh = made_of.model(file, options)
    return model, files, fresh
  end
  if device.lora then fail("--lora: expected without --base, found both") end
  options.base = open(device.base)
  return import.load(file, options), files, {}
end

--- What a device with `train` would take: lua/train/lowered.lua's choices, and the build under its limit.
-- @return build, choices
function built.plan(device, where)
  local model = model_of(device, where)
  local names, rule = sets.of(model, device.train, "--train"), losses.of(device.loss, model)
  local options = { board = device.board, cores = device.cores, batch = device.batch, target_side = device.target_side,
    scores = rule.kind == "sam", from = device.from, where = where }
  local wanted = { scores = options.scores, from = options.from or "image" }
  local function again() return network.of(model, names, wanted) end
  options.arena_limit = device.arena_limit
  local build = built.lower(model, names, options)
  return build, lowered.choices(again, model, build.board, { kernels = build.kernels, cores = build.made.cores,
    batch = build.batch, target_side = build.target_side })
end

--- Compile one device with `train` into a folder (lua/compiler/options.lua): the training step as C.
-- @param where what messages begin with @param progress function(text, done, total)
-- @return the build
function built.build(device, dir, where, progress)
  for _, field in ipairs(INFERENCE) do
    if device[field] then
      fail("%s: expected without --train, found both", require("compiler.options").of(field).option or field)
    end
  end
  local model, files, fresh = model_of(device, where)
  local rule = losses.of(device.loss, model)
  local names = sets.of(model, device.train, "--train")
  local build = built.lower(model, names, { board = device.board, cores = device.cores, batch = device.batch,
    target_side = device.target_side, scores = rule.kind == "sam", from = device.from,
    arena_limit = device.arena_limit, where = where })
  build.rule, build.fresh = rule, fresh
  built.write(build, dir, { prefix = device.prefix, progress = progress, files = files })
  return build
end

--- What was built, as facts for a person.
function built.said(dir, build)
  local layout, terminal = require "support.layout", require "support.terminal"
  local model, memory, floats = build.model, build.made.memory, 0
  for _, one in ipairs(build.made.trained.list) do floats = floats + one.rows * one.width end
  local text = ("training of %s, %d x %d, %s; %d tensors train, %d numbers; arena %s (lower bound %s)"):format(
    model.dialect, model.image_size, model.image_size, build.board.name, #build.made.trained.list, floats,
    layout.bytes(memory.bytes), layout.bytes(memory.bound))
  local lines = layout.hanging(dir .. ": ", text, terminal.columns(), 2)
  if #build.fresh > 0 then
    layout.append(lines, layout.hanging("made: ", ("%d tensors that the file lacks"):format(#build.fresh),
      terminal.columns(), 2))
  end
  return table.concat(lines, "\n") .. "\n"
end

return built
