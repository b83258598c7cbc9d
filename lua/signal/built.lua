-- SPDX-License-Identifier: Apache-2.0
--- A front end alone compiled: its folder of C, without a network.

local arithmetic = require "target.arithmetic"
local boards = require "target.boards"
local emit = require "emit.emit"
local fail = require "support.fail"
local front = require "signal.front"
local json = require "msagen.json"
local kernels = require "kernels.kernels"
local options = require "compiler.options"
local output_folder = require "emit.output_folder"
local placement = require "estimate.placement"
local prefixes = require "emit.prefix"
local print = require "emit.print"
local schema = require "support.schema"
local split = require "schedule.split"
local start_files = require "emit.start_files"
local sys = require "msagen.sys"
local template = require "support.template"
local types = require "graph.types"

local built = {}

local RUNNER_FOLDER = require("run.made").RUNNER_FOLDER
local BENCH = "msa_front_run"
local RUNTIME = { "msa_check", "msa_crc32c", "msa_cycles", "msa_hooks", "msa_status" }
local HEADERS = { "msa.h", "msa_arith.h", "msa_runtime.h" }

-- Fields of a device that a front end alone has.
local ALONE = { frontend = true, board = true, name = true, prefix = true, precision = true, cores = true }

local function check(device, where)
  for field in pairs(device) do
    if not ALONE[field] then
      local one = options.of(field)
      fail("%s: %s: expected with a checkpoint, found a front end alone", where, one.option or field)
    end
  end
end

--- Lower a device's front end. @return { front, p, board, kernels, arithmetic, precision }
function built.lower(device, where)
  schema.check(device, options.fields, where)
  check(device, where)
  local board = device.board and boards.named(device.board, where .. ": board") or boards.best()
  local build = { board = board, kernels = kernels.new(board.isa, board, msagen.datadir .. "/templates"),
    precision = device.precision or arithmetic.DEFAULT, prefix = device.prefix or "msa" }
  build.arithmetic = arithmetic.class(board, build.precision)
  build.description = front.check(device.frontend, where .. ": frontend")
  build.front = front.lower(build.description, build.kernels, where .. ": frontend")
  local most = 2 ^ (board.address_bits or 47)
  if build.front.bytes > most then
    fail("%s: frontend: expected an arena that %s can address, at most %.0f bytes, found %d", where, board.name, most,
      build.front.bytes)
  end
  return build
end

-- ---- the folder ----

local function info_of(build)
  local start = build.board.start or { product = {}, runner = {} }
  local info = { what = "the front end", library = "msa_model", bench = BENCH, objects = { "msa_model.o", "msa_front.o",
    "msa_kernels.o" }, headers = { "msa_model.h", "msa_internal.h", "msa_kernels.h", "msa_simd.h",
    table.unpack(HEADERS) }, runtime_objects = {}, runner_folder = RUNNER_FOLDER,
    runner = { BENCH, table.unpack(start.runner) },
    runner_headers = { RUNNER_FOLDER .. "/msa_run_front.h", RUNNER_FOLDER .. "/msa_run_small.h" },
    start_objects = {}, extras = build.front.extras or {} }
  for i, name in ipairs(RUNTIME) do info.runtime_objects[i] = name .. ".o" end
  for _, name in ipairs(info.extras) do
    info.runtime_objects[#info.runtime_objects + 1], info.headers[#info.headers + 1] = name .. ".o", name .. ".h"
  end
  for i, name in ipairs(start.product) do info.start_objects[i] = name .. ".o" end
  return info
end

local function environment(build, blob)
  local board, loops, hash = build.board, split.loops(1), {}
  for byte in blob.model_hash:gmatch "%x%x" do hash[#hash + 1] = "0x" .. byte end
  local made = front.environment(build.front, build.kernels, blob.at)
  return { made_by = emit.made_by(), version = msagen.version, network = false, guards = false,
    precision = build.precision, network_text = "", front = made,
    prototypes = made.prototypes, board = board, isa = setmetatable({ activations = {} }, { __index = board.isa }),
    kernels = build.kernels, cores = 1, core_parameter = loops.core_parameter, streamed = false,
    memory = { bytes = build.front.bytes }, blob = blob, arithmetic = build.arithmetic,
    hash = table.concat(hash, ", "),
    computing = { "msa_kernels", table.unpack(build.front.extras or {}) },
    info = info_of(build), macro = print.macro, words = print.words, wrapped = print.wrapped, place = print.place,
    types = types, flags = table.concat(board.flags, " "), linkable = blob.bytes < 2 ^ 31,
    origin = (" * board %s   arithmetic %s"):format(board.name, build.arithmetic) }
end

-- All texts of the folder: name -> text, for prefix msa.
local function texts_of(build, blob)
  local folder, env, texts = msagen.datadir .. "/templates", environment(build, blob), {}
  emit.front_texts(folder, env)
  for _, name in ipairs { "kernels.c", "kernels.h", "simd.h", "weights.S", "weights.b", "front.c", "internal.h",
    "model.h", "model.c" } do
    texts["msa_" .. name] = template.file(folder, name, env)
  end
  emit.packaging(texts, folder, env)
  local function copy(name) texts[name] = sys.read_file(msagen.datadir .. "/runtime/" .. name) end
  for _, name in ipairs(HEADERS) do copy(name) end
  for _, name in ipairs(RUNTIME) do copy(name .. ".c") end
  for _, name in ipairs(build.front.extras or {}) do
    copy(name .. ".c")
    copy(name .. ".h")
  end
  copy(("%s/%s.c"):format(RUNNER_FOLDER, BENCH))
  for _, name in ipairs { "msa_run_front.h", "msa_run_small.h" } do copy(RUNNER_FOLDER .. "/" .. name) end
  texts["msa.h"] = emit.version(texts["msa.h"])
  texts["msa_arith.h"] = emit.arith(texts["msa_arith.h"], build.arithmetic)
  if build.board.start then
    start_files.add(texts, build.board, placement.on(build.board, nil, { arena = build.front.bytes,
      weights = blob.bytes, code = 0 }), emit.made_by(), RUNNER_FOLDER)
  end
  return texts
end

local function manifest(build, blob, files, rename)
  local self, null, board = build.front, json.null, build.board
  local list, buffers = front.facts(self)
  return { generator = "msagen", manifest_sha256 = "", version = msagen.version, kind = "front end",
    board = board.name, hosted = board.hosted, clock = board.clock or null, requires = json.array(board.requires),
    emulator = board.emulator and json.array(board.emulator) or null, emulator_lost = board.emulator_lost or null,
    prefix = build.prefix, runner = rename(RUNNER_FOLDER .. "/" .. BENCH), weights = rename "msa_weights.bin",
    arithmetic = build.arithmetic, precision = build.precision, frontend = build.description,
    envelope = self.envelope ~= nil, lines = self.lines, line_bytes = self.line_bytes, frame_depth = self.depth or null,
    picture = self.picture_of or null, arena_bytes = self.bytes, weights_bytes = blob.bytes,
    weights_sha256 = blob.sha256, model_hash = blob.model_hash, steps = json.array(list),
    buffers = json.array(buffers), files = files }
end

--- Compile a device with a front end and no checkpoint into a folder. @return the build
function built.build(device, dir, where, progress)
  local build = built.lower(device, where)
  local target = output_folder.open(dir)
  local rename = prefixes.renamer(build.prefix)
  local ok, message = pcall(function()
    local work = target:stage()
    progress("writing C", 1, 1)
    local blob = build.front.segment:write_alone(work .. "/" .. rename "msa_weights.bin", build.arithmetic,
      "front")
    local texts = texts_of(build, blob)
    output_folder.write(work, texts, rename, function(files) return manifest(build, blob, files, rename) end)
    target:commit()
  end)
  target:close()
  if not ok then error(target:renamed(message), 0) end
  return build
end

--- What was built, as facts for a person.
function built.said(dir, build)
  local layout, terminal = require "support.layout", require "support.terminal"
  local text = ("%s, %s; arena %s"):format(build.front.facts, build.board.name, layout.bytes(build.front.bytes))
  return table.concat(layout.hanging(dir .. ": ", text, terminal.columns(), 2), "\n") .. "\n"
end

return built
