-- SPDX-License-Identifier: Apache-2.0
--- A training network compiled: the folder of C of a training build.

local boards = require "target.boards"
local arithmetic = require "target.arithmetic"
local emit = require "emit.emit"
local fail = require "support.fail"
local json = require "msagen.json"
local kernels = require "kernels.kernels"
local lowered = require "train.lowered"
local network = require "train.network"
local output_folder = require "emit.output_folder"
local preparation = require "import.preparation"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local training = require "emit.training"

local built = {}

local RUNNER_FOLDER = require("run.made").RUNNER_FOLDER

--- The test bench and the weights in a folder.
built.PROGRAM, built.WEIGHTS = RUNNER_FOLDER .. "/msa_train_run", "msa_weights.bin"

-- Of the runtime: files of all builds, and of training ones, in their own folder there.
local RUNTIME = { "msa_check", "msa_crc32c", "msa_cycles", "msa_hooks", "msa_image", "msa_prompt", "msa_status" }
local TRAINING = { "msa_gradient", "msa_loss", "msa_optimiser", "msa_prompt_rows" }
local PRETRAINING = { "msa_gradient", "msa_optimiser", "msa_pretrain" }
local HEADERS = { "msa.h", "msa_arith.h", "msa_runtime.h" }
local TRAINING_HEADERS = { "msa_gradient.h", "msa_loss.h", "msa_optimiser.h", "msa_prompt_rows.h", "msa_train_arith.h" }

-- The files that are copied: name in the folder -> path in the runtime.
local function copies_of(build)
  local list, objects, headers = {}, {}, { "msa_train.h", "msa_train_internal.h", "msa_kernels.h", "msa_simd.h" }
  local function source(name, from)
    list[name .. ".c"], objects[#objects + 1] = from .. name .. ".c", name .. ".o"
  end
  local function header(name, from) list[name], headers[#headers + 1] = from .. name, name end
  for _, name in ipairs(RUNTIME) do
    if name ~= "msa_prompt" or not build.net.objective then source(name, "") end
  end
  source(preparation.resamplings[build.model.resampling].file, "")
  if not build.model.normalise.mean then source("msa_range", "") end
  if build.made.cores > 1 then
    source("msa_cores", "")
    list["msa_threads.c"] = "msa_threads.c"
    header("msa_threads.h", "")
  end
  for _, name in ipairs(build.net.objective and PRETRAINING or TRAINING) do source(name, "train/") end
  if build.net.objective then header("msa_pretrain.h", "train/") end
  for _, name in ipairs(HEADERS) do header(name, "") end
  for _, name in ipairs(TRAINING_HEADERS) do header(name, "train/") end
  list[RUNNER_FOLDER .. "/msa_train_run.c"] = RUNNER_FOLDER .. "/msa_train_run.c"
  return list, objects, headers
end

--- Lower a network for a board. @param model its description @param names what trains
-- @param options { board = name or nil, cores, batch, target_side, scores, arena_limit, keep, where;
-- network: function() -> the network anew, in place of train/network.lua's }
-- @return build: { model, net, made, board, kernels, arithmetic, batch, target_side }
function built.lower(model, names, options)
  local where = options.where or "train"
  local board = options.board and boards.named(options.board, where .. ": board") or boards.best()
  local set = kernels.new(board.isa, board, msagen.datadir .. "/templates")
  local cores = options.cores or 1
  set.cores = cores
  local again = options.network or function() return network.of(model, names, { scores = options.scores }) end
  local net = again()
  if #net.parameters == 0 then fail("%s: expected tensors that train, found none", where) end
  local build = { model = model, board = board, kernels = set, batch = options.batch or 1,
    target_side = options.target_side or math.max(model.image_size, 4 * model.grid), precision = arithmetic.DEFAULT }
  build.arithmetic = arithmetic.class(board, build.precision)
  build.made = lowered.of(again, model, board, { kernels = set, cores = cores, batch = build.batch,
    target_side = build.target_side, keep = options.keep, apart = options.apart, arena_limit = options.arena_limit })
  build.net = build.made.net
  return build
end

local function manifest(build, blob, files)
  local made = build.made
  local tensors, groups = {}, {}
  for i, one in ipairs(made.trained.list) do tensors[i] = { name = one.name, shape = json.array(one.shape) } end
  for i, one in ipairs(made.groups) do
    groups[i] = { name = one.label, phase = one.phase, macs = one.macs }
  end
  return { generator = "msagen", manifest_sha256 = "", version = msagen.version, kind = "training",
    board = build.board.name, hosted = build.board.hosted, requires = json.array(build.board.requires),
    emulator = build.board.emulator and json.array(build.board.emulator) or json.null,
    emulator_lost = build.board.emulator_lost or json.null, prefix = "msa",
    runner = built.PROGRAM, weights = built.WEIGHTS, arithmetic = build.arithmetic,
    cores = made.cores, batch = build.batch, target_side = build.target_side, macs = made.macs,
    macs_again = made.macs_again, arena_bytes = made.memory.bytes, arena_bound_bytes = made.memory.bound,
    weights_bytes = blob.bytes, weights_sha256 = blob.sha256, model_hash = blob.model_hash,
    trained = json.array(tensors), layers = json.array(groups), files = files }
end

--- Write the folder. @param build built.lower's
function built.write(build, dir, progress)
  local target = output_folder.open(dir)
  local ok, message = pcall(function()
    local work = target:stage()
    local copies, objects, headers = copies_of(build)
    local info = { extras = {}, runtime_objects = objects, headers = headers, runner_folder = RUNNER_FOLDER,
      start_objects = {} }
    local blob = training.weights(build, work .. "/" .. built.WEIGHTS, progress or function() end)
    local texts, files, names = training.texts(build, blob, info), {}, {}
    for name, from in pairs(copies) do texts[name] = sys.read_file(msagen.datadir .. "/runtime/" .. from) end
    texts["msa.h"] = emit.version(texts["msa.h"])
    texts["msa_arith.h"] = emit.arith(texts["msa_arith.h"], build.arithmetic)
    for name in pairs(texts) do names[#names + 1] = name end
    table.sort(names)
    sys.mkdir(work .. "/" .. RUNNER_FOLDER)
    for _, name in ipairs(names) do
      files[name] = sha256.hex(texts[name])
      sys.write_file(work .. "/" .. name, texts[name], true)
    end
    local text = json.encode(manifest(build, blob, files), { indent = 1 })
    sys.write_file(work .. "/manifest.json", require("emit.manifest_seal").put(text .. "\n"))
    target:commit()
  end)
  target:close()
  if not ok then error(target:renamed(message), 0) end
end

return built
