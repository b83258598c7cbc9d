-- SPDX-License-Identifier: Apache-2.0
--- The compiler as a whole: a device description -> a folder of C.
local arithmetic = require "target.arithmetic"
local boards = require "target.boards"
local cores = require "schedule.split"
local costs = require "estimate.costs"
local emit = require "emit.emit"
local encoders = require "networks.encoders"
local fail = require "support.fail"
local front = require "signal.front"
local import = require "import.import"
local kernels = require "kernels.kernels"
local options = require "compiler.options"
local placement = require "estimate.placement"
local predict = require "estimate.predict"
local precisions = require "compiler.precision"
local preparation = require "import.preparation"
local output_folder = require "emit.output_folder"
local tokens = require "networks.tokens"
local recorded = require "compiler.recorded"
local rules = require "scans.rules"
local schedule_memory = require "schedule.memory"
local schema = require "support.schema"
local segment = require "lower.segment"
local start_files = require "emit.start_files"
local ssa = require "graph.ssa"
local stream = require "schedule.fetches"
local sys = require "msagen.sys"
local types = require "graph.types"

local compiler = {}

--- Passes over the graph, in order, each a module that says what it relies on and what it leaves.
compiler.passes = { { name = "prune", module = "graph.passes.prune" }, { name = "lower", module = "lower.pass" },
  { name = "memory", module = "schedule.memory" } }

local function check_device(device, where)
  schema.check(device, options.fields, where)
  if not device.checkpoint and not (device.banks and #device.banks > 0) then
    fail("%s: checkpoint: expected a path, found none", where)
  end
  if device.stream_buffer and device.weights ~= "stream" then
    fail("%s: stream_buffer: expected with weights = stream, found without", where)
  end
  for _, one in ipairs(options.list) do
    if one.training and device[one.field] ~= nil and (one.field == "train" or not device.train) then
      fail("%s: %s: expected %s", where, one.field, one.field == "train" and "of msagen build alone, found here"
        or "with train (--train), found without")
    end
  end
end

-- One bank's model as a scheduled graph.
-- @param models those of all banks  @param count cores
-- @param private layer name -> roles of weights that differ between them, where known
-- @param streamed { buffer = bytes or nil } where weights are fetched by the layers
-- @param draft sizes are wanted, not kernels: those get a name and no text
-- @param asked { precision =, guards = whether the arena is guarded }
local function schedule(model, board, models, count, private, streamed, draft, asked)
  local set = kernels.new(board.isa, board, msagen.datadir .. "/templates")
  if draft then
    set.make = function(_, _, name) return name end
    set.gemm = function() return "msa_gemm", 0 end
    set.draft = true
  end
  local graph = { models = models, private = private, cores = count, streamed = streamed ~= nil,
    precision = asked.precision, guards = asked.guards, stream_buffer = streamed and streamed.buffer }
  graph.tables = emit.tables(model, private and private[""])
  for _, pass in ipairs(compiler.passes) do graph = require(pass.module)(graph, model, set) end
  local largest = graph.stream and graph.stream.largest
  if largest then
    fail("--stream-buffer: expected %d bytes at least, for %s, found %d", largest.bytes, largest.layer.name,
      streamed.buffer)
  end
  local most, arena = 2 ^ (board.address_bits or 47), graph.memory.bytes
  if arena > most then
    fail("--resolution %d, --depth %d: expected an arena that %s can address, at most %.0f bytes, found %.0f",
      model.image_size, model.depth, board.name, most, arena)
  end
  return { model = model, graph = graph, kernels = set, tables = graph.tables }
end

-- Which parts of which layers differ between the banks: layer name -> set of roles; "" holds the tables'.
local function differences(banks)
  local private = { [""] = {} }
  local function compare(layer, first, pick)
    local roles = private[layer] or {}
    for i, part in ipairs(first.parts) do
      for k = 2, #banks do
        local other = pick(banks[k]).parts[i]
        if not other or other.role ~= part.role or other.bytes ~= part.bytes then
          fail("--bank %s: %s: expected the shape that bank %s has in %s, found another", banks[k].name, layer,
            banks[1].name, part.role)
        end
        if not roles[part.role] and not segment.equal(part, other) then roles[part.role] = true end
      end
    end
    private[layer] = roles
  end
  for i, L in ipairs(banks[1].graph.fused) do
    compare(L.name, L.segment, function(bank) return bank.graph.fused[i].segment end)
  end
  compare("", banks[1].tables.position, function(bank) return bank.tables.position end)
  compare("", banks[1].tables.prompt, function(bank) return bank.tables.prompt end)
  return private
end

-- The checkpoints of a device in order: {{name or nil, path}...}. A checkpoint beside banks is one of them, or bank
-- "default".
local function sources(device, where)
  local list, seen = {}, {}
  if device.checkpoint then list[1] = { path = device.checkpoint } end
  for i, bank in ipairs(device.banks or {}) do
    if type(bank) ~= "table" or type(bank.name) ~= "string" or type(bank.checkpoint) ~= "string" then
      fail("%s: banks: expected {name =, checkpoint =} for bank %d, found %s", where, i, type(bank))
    end
    if not bank.name:match("^[%w_.-]+$") then
      fail("--bank: expected a name of letters, digits, -, _ and ., found %s", bank.name)
    end
    if seen[bank.name] then fail("--bank: expected a different name for each bank, found %s twice", bank.name) end
    seen[bank.name] = true
    if list[1] and not list[1].name and list[1].path == bank.checkpoint then list[1].name = bank.name
    else list[#list + 1] = { name = bank.name, path = bank.checkpoint } end
  end
  if #list > 1 and not list[1].name then
    if seen.default then
      fail("--bank: expected a name other than default, which is the checkpoint's own, found default")
    end
    list[1].name = "default"
  end
  return list
end

--- The models of a device's checkpoints, in order. @param opened files that are open, by their paths; or nil
-- @return models, their banks' names (or nil), the open files, the
-- board
function compiler.models(device, where, opened)
  check_device(device, where)
  local board = device.board and boards.named(device.board, where .. ": board") or boards.best()
  local options, files, models, names = {}, {}, {}, {}
  for key, value in pairs(device) do options[key] = value end
  local function open(path, set)
    files[#files + 1] = opened and opened[path] or require("import.shards").open(path, set)
    return files[#files]
  end
  options.base = device.base and open(device.base, device.weights_key)
  local list = sources(device, where)
  options.several = #list > 1
  for i, source in ipairs(list) do
    local model = import.load(open(source.path, device.weights_key), options)
    if device.text_prompts then model.texts = require("import.text").load(device.text_prompts, model, open) end
    models[i], names[i] = model, source.name
  end
  return models, names, files, board
end

-- The front end before the network, its memory behind the network's.
local function add_front(build, device, where)
  if device.weights == "stream" then fail("%s: frontend: expected weights mapped, found stream", where) end
  if build.model.depth > 1 then fail("%s: frontend: expected depth 1, found %d", where, build.model.depth) end
  where = where .. ": frontend"
  local memory = build.graph.memory
  build.description = front.check(device.frontend, where)
  build.front = front.lower(build.description, build.kernels, where, types.lines(memory.bytes),
    build.graph.cores or 1)
  memory.bytes = build.front.first + build.front.bytes
  memory.bound = memory.bound + build.front.bytes
  if build.graph.guards then schedule_memory.guard_end(memory) end
end

local function completed(build, device, board, banks, name, files, where)
  if device.frontend then add_front(build, device, where) end
  build.precision = build.graph.precision:name()
  build.arithmetic = arithmetic.class(board, build.precision)
  build.board, build.name, build.banks, build.files = board, name, banks, files
  return build
end

--- The scheduled build of a device: { model, board, precision, arithmetic = its class, graph, kernels, tables, banks,
-- files }, banks being the builds of all its checkpoints, the first the one whose graph is emitted, files the open
-- checkpoints. Nothing is written, and no
-- weights are packed: of the tensors it reads those that it resamples, tables of relative positions (are they all
-- zero?) and, with banks, all, to compare them.
-- @param draft nothing but sizes is wanted: kernels are not written
-- @param opened as of compiler.models
function compiler.schedule(device, where, draft, opened)
  local models, names, files, board = compiler.models(device, where, opened)
  local asked = { precision = precisions.of(device, where), guards = device.guards == "full" }
  local count, streamed = device.cores or 1, device.weights == "stream" and { buffer = device.stream_buffer } or nil
  if count > (board.cores or cores.MOST) then
    fail("--cores: expected at most %d on %s, found %d", board.cores, board.name, count)
  end
  if #models == 1 then
    local build = schedule(models[1], board, models, count, nil, streamed, draft, asked)
    return completed(build, device, board, { build }, names[1], files, where)
  end
  if device.stream_buffer then fail("%s: stream_buffer: expected one checkpoint, found %d banks", where, #models) end
  require("import.banks").check(models, names)
  local banks = {}
  for i, model in ipairs(models) do
    banks[i] = schedule(model, board, models, count, nil, streamed, draft, asked)
    banks[i].name = names[i]
  end
  local build = schedule(models[1], board, models, count, differences(banks), streamed, draft, asked)
  return completed(build, device, board, banks, names[1], files, where)
end

local RUNTIME = { "msa_check", "msa_crc32c", "msa_cycles", "msa_hooks", "msa_image", "msa_image_line",
  "msa_mask", "msa_prompt", "msa_status" }
-- The test bench's, in a folder of their own here and in what is generated: a product links none of them.
local RUNNER_FOLDER = require("run.made").RUNNER_FOLDER
local RUNNER = { "msa_run", "msa_run_bench", "msa_run_clicks", "msa_run_model", "msa_run_npy", "msa_run_peak",
  "msa_run_profile", "msa_run_propagate", "msa_run_refine", "msa_run_weights" }
local RUNNER_HEADERS = { RUNNER_FOLDER .. "/msa_run.h", RUNNER_FOLDER .. "/msa_run_clicks.h" }

-- What a streamed build fetches, or null.
local function stream_of(build)
  local s, buffers = build.graph.stream, build.graph.memory.by_name
  if not s then return require("msagen.json").null end
  local out = { tables_bytes = s.tables }
  for _, phase in ipairs { "encode", "decode" } do
    out[phase] = { bytes = stream.bytes(s[phase]), fetches = #s[phase].items,
      buffer_bytes = { buffers[stream.name(phase, 0)].bytes, buffers[stream.name(phase, 1)].bytes } }
  end
  return out
end

-- Which bytes of the blob hold which tensors, and which layer's function reads them.
local function parts_of(build, blob)
  local json = require "msagen.json"
  local list = {}
  for i, p in ipairs(blob.parts) do
    list[i] = { role = p.role, tensors = json.array(table.move(p.tensors, 1, #p.tensors, 1, {})), segment = p.segment,
      offset = p.offset, bytes = p.bytes, crc32c = ("%08x"):format(p.crc), layout = p.layout,
      shape = json.array(p.shape), stride = p.stride,
      ["function"] = p.reader, bank = p.bank and build.banks[p.bank].name,
      text_prompts = p.tensors.texts and json.array(p.tensors.texts) }
  end
  return list
end

-- A step of the plan of the arena, in the numbering of layers: "encode 0"; "tokens" before the decoder, "results" after
-- it.
local function moment_of(build, step)
  local layers = build.graph.fused
  for _, L in ipairs(layers) do
    if L.step == step then return ("%s %d"):format(L.phase, L.number) end
  end
  return step > layers[#layers].step and "results" or "tokens"
end

-- The operations of the graph that a layer does: number and text. What is made ready of other layers is theirs.
local function operations_of(L)
  local list = {}
  for _, used in ipairs(L.uses or {}) do table.move(operations_of(used), 1, #used.group.ops, #list + 1, list) end
  for _, op in ipairs(L.group and L.group.ops or {}) do list[#list + 1] = { id = op.id, text = ssa.line(op) } end
  return list
end

-- What each layer does and moves, and the cycles of the plan's prediction for the core that has most of it.
local function layers_of(build)
  local layers = {}
  for i, L in ipairs(build.graph.fused) do
    local work = predict.layer(L, build)
    layers[i] = { name = L.name, kind = L.kind, phase = L.phase, number = L.number, macs = L.macs,
      product_cycles = math.ceil(work.busy), other_cycles = math.ceil(work.other),
      bytes = costs.bytes(L, build), weights_offset = L.weights_at,
      weights_bytes = L.segment:bytes(#build.banks), bank_bytes = L.segment.own,
      scratch_bytes = L.scratch, operations = require("msagen.json").array(operations_of(L)) }
  end
  return layers
end

-- What the manifest says of precision, and what was asked for, added to it.
local function add_precision(made, build, device)
  made.precision, made.arithmetic, made.layer_precision = build.precision, build.arithmetic, device.layer_precision
  made.device = recorded.of(device)
  made.equalised = build.graph.precision.equalise
  made.weights_by_precision = require "msagen.json".array(require("estimate.precisions").of(build))
  return made
end

local function manifest(build, device, blob, info, files)
  local m, json = build.model, require "msagen.json"
  local encoder, buffers = encoders.named(m.encoder.kind, "manifest").facts(m.encoder), {}
  encoder.kind = m.encoder.kind
  for i, b in ipairs(build.graph.memory.buffers) do
    buffers[i] = { name = b.name, offset = b.offset, bytes = b.bytes, first = moment_of(build, b.first),
      last = moment_of(build, b.last) }
  end
  local pruned = {}
  for i, p in ipairs(build.graph.pruned or {}) do
    pruned[i] = { layer = p.layer, what = p.what, tensors = json.array(p.tensors), macs = p.macs }
  end
  local segments = {}
  for i, s in ipairs(blob.segments) do
    segments[i] = { name = s.name, offset = s.offset, bytes = s.bytes, crc32c = ("%08x"):format(s.crc) }
  end
  local steps, front_buffers
  if build.front then steps, front_buffers = front.facts(build.front) end
  local banks = {}
  for i, bank in ipairs(build.banks) do
    if bank.name then
      banks[i] = { name = bank.name, sha256 = bank.model.source.sha256, tensors = json.array(bank.model.fates) }
    end
  end
  return {
    banks = json.array(banks), texts = json.array(m.texts and m.texts.names or {}),
    frontend = build.description, front_steps = steps and json.array(steps),
      front_buffers = front_buffers and json.array(front_buffers), lines = build.front and build.front.lines,
      line_bytes = build.front and build.front.line_bytes, frame_depth = build.front and build.front.depth,
      envelope = build.front and build.front.envelope ~= nil, picture = build.front and build.front.picture_of,
    generator = "msagen", manifest_sha256 = "", version = msagen.version, board = build.board.name,
      hosted = build.board.hosted, clock = build.board.clock or json.null, requires = json.array(build.board.requires),
    emulator = build.board.emulator and json.array(build.board.emulator) or json.null,
      emulator_lost = build.board.emulator_lost or json.null,
    prefix = device.prefix or "msa", runner = RUNNER_FOLDER .. "/" .. (device.prefix or "msa") .. "_run",
    weights = (device.prefix or "msa") .. "_weights.bin",
    checkpoint = { sha256 = m.source.sha256, format = m.source.format, container = m.source.container,
      dialect = m.dialect, base_sha256 = m.source.base and m.source.base.sha256 or json.null,
      prefix = m.source.prefix or json.null, weights_key = m.source.weights_key or json.null },
    input_size = m.image_size, depth = m.depth,
      grid = m.grid,
      patch = m.patch, out = m.out, masks = m.decoder.masks, encoder = encoder,
    cores = build.graph.cores, dim = encoder.width, blocks = encoder.blocks, heads = encoder.heads,
      window = encoder.window, resampling = m.resampling, resize = m.resize,
      mask_from = m.mask_from, mask_square = m.mask_square, best_of_several = m.best_of_several,
      mask_rule = m.mask_rule, classes = m.mask_rule == "first" and (m.classes or 1) or 0, click_order = m.click_order,
      feedback = m.training.feedback or "none",
    places = m.places,
    max_points = tokens.MAX_POINTS, tokens = tokens.rows(m), normalise = m.normalise.kind, preparation = m.preparation,
    prepare = device.prepare and rules.parse(device.prepare).text or json.null,
    macs_encode = info.macs_encode, macs_decode = info.macs_decode, macs_ready = build.graph.ready_macs or 0,
      arena_bytes = build.graph.memory.bytes, arena_bound_bytes = build.graph.memory.bound,
    build = info.build, stream = stream_of(build), weights_bytes = blob.bytes, weights_sha256 = blob.sha256,
      model_hash = blob.model_hash,
    kernels = json.array(build.kernels:explain(device.prefix)),
    layers = json.array(layers_of(build)), buffers = json.array(buffers), pruned = json.array(pruned),
    segments = json.array(segments), parts = json.array(parts_of(build, blob)),
    tensors = json.array(m.fates), warnings = json.array(m.warnings), files = files,
  }
end

-- Write the texts and the manifest, which has their hashes. The Makefile says to the runner which build it is of.
local function write_texts(build, device, work, texts, rename, blob, info)
  local hex, names, files, all = require("msagen.sha256").hex, {}, {}, {}
  for file in pairs(texts) do names[#names + 1] = file end
  table.sort(names)
  for i, file in ipairs(names) do
    files[rename(file)] = hex(rename(texts[file]))
    all[i] = ("%s  %s\n"):format(files[rename(file)], rename(file))
  end
  info.build = hex(table.concat(all))
  texts.Makefile = texts.Makefile:gsub("@MSA_RUN_BUILD@", info.build)
  files.Makefile = hex(rename(texts.Makefile))
  sys.mkdir(work .. "/" .. RUNNER_FOLDER)
  -- The disk is waited for where a damage could go unseen: `run` verifies texts.
  for _, file in ipairs(names) do sys.write_file(work .. "/" .. rename(file), rename(texts[file]), true) end
  local made = require("msagen.json").encode(add_precision(manifest(build, device, blob, info, files), build, device),
    { indent = 1 })
  sys.write_file(work .. "/manifest.json", require("emit.manifest_seal").put(made .. "\n"))
end

-- Files of the runtime that some models alone have, each with a header of its name.
local function extras_of(build)
  local list = {}
  if build.model.places then list[1] = "msa_places" end
  local of_front = build.front and build.front.extras or {}
  return table.move(of_front, 1, #of_front, #list + 1, list)
end

local function runner_headers(build)
  local list = table.move(RUNNER_HEADERS, 1, #RUNNER_HEADERS, 1, {})
  if build.front then list[#list + 1] = RUNNER_FOLDER .. "/msa_run_front.h" end
  return list
end

-- C files without their ending that are copied: of the runtime, of the test bench, and of a board without an operating
-- system those of each.
local function copied(build)
  local start = build.board.start or { product = {}, runner = {} }
  local list = { runtime = table.move(RUNTIME, 1, #RUNTIME, 1, {}), runner = table.move(RUNNER, 1, #RUNNER, 1, {}),
    threads = build.graph.cores > 1 and { "msa_threads" } or {}, start = start.product, start_runner = start.runner }
  local function add(where, file) list[where][#list[where] + 1] = file end
  add("runtime", preparation.resamplings[build.model.resampling].file)
  add("runtime", build.model.upsample == "bicubic" and "msa_bicubic" or "msa_upsample")
  if not build.model.normalise.mean then add("runtime", "msa_range") end
  local several, streamed = build.graph.cores > 1, build.graph.stream
  list.extras = extras_of(build)
  for _, file in ipairs(list.extras) do add("runtime", file) end
  if several then add("runtime", "msa_cores") end
  if streamed then add("runner", "msa_run_fetch") end
  add("runner", several and "msa_run_team" or "msa_run_alone")
  add("runner", streamed and "msa_run_stream" or "msa_run_map")
  return list
end

-- What the Makefile's template is told of them.
local function makefile_info(build, list)
  local runner = table.move(list.runner, 1, #list.runner, 1, {})
  local info = { what = "the model", library = "msa_model", bench = "msa_run", extras = list.extras,
    objects = { "msa_model.o", "msa_encoder.o", "msa_decoder.o", "msa_kernels.o", "msa_known_answer.o" },
    headers = { "msa.h", "msa_model.h", "msa_internal.h", "msa_kernels.h", "msa_simd.h", "msa_arith.h",
      "msa_runtime.h" }, runtime_objects = {}, runner_folder = RUNNER_FOLDER,
    runner_headers = runner_headers(build), start_objects = {},
    runner = table.move(list.start_runner, 1, #list.start_runner, #runner + 1, runner) }
  table.move(build.kernels:headers(), 1, 2, #info.headers + 1, info.headers)
  if build.front then table.insert(info.objects, #info.objects, "msa_front.o") end
  for _, file in ipairs(list.extras) do info.headers[#info.headers + 1] = file .. ".h" end
  for i, file in ipairs(list.runtime) do info.runtime_objects[i] = file .. ".o" end
  if build.graph.stream then info.runtime_objects[#info.runtime_objects + 1] = "msa_stream.o" end
  for i, file in ipairs(list.start) do info.start_objects[i] = file .. ".o" end
  return info
end

-- Add the files that are copied, with what the class of arithmetic and the version are.
local function add_copies(texts, build, list)
  local board = build.board
  local function copy(name) texts[name] = sys.read_file(msagen.datadir .. "/runtime/" .. name) end
  for _, file in ipairs { "msa.h", "msa_arith.h", "msa_runtime.h", table.unpack(runner_headers(build)) } do
    copy(file)
  end
  texts["msa.h"] = emit.version(texts["msa.h"])
  texts["msa_arith.h"] = emit.arith(texts["msa_arith.h"], build.arithmetic)
  for _, files in ipairs { list.threads, list.extras } do
    for _, file in ipairs(files) do copy(file .. ".h") end
  end
  for _, files in ipairs { list.runtime, list.threads } do
    for _, file in ipairs(files) do copy(file .. ".c") end
  end
  for _, file in ipairs(list.runner) do copy(("%s/%s.c"):format(RUNNER_FOLDER, file)) end
  if board.start then
    start_files.add(texts, board, placement.on(board, build), emit.made_by(), RUNNER_FOLDER)
  end
end

--- Compile one device into dir (lua/output_folder).
-- @param progress function(text, done, total)
function compiler.build(device, dir, where, progress)
  if device.train then
    schema.check(device, options.fields, where)
    return require("train.built").build(device, dir, where, progress)
  end
  if device.frontend and not device.checkpoint and not device.banks then
    return require("signal.built").build(device, dir, where, progress)
  end
  local target = output_folder.open(dir)
  local build = compiler.schedule(device, where)
  local ok, message = pcall(function()
    -- Known before weights are read, confirmed when all are: what was built is what was hashed.
    for _, file in ipairs(build.files) do file:sha256() end
    local work = target:stage()
    local prefix = device.prefix or "msa"
    local rename = require("emit.prefix").renamer(prefix)
    local list = copied(build)
    local info = makefile_info(build, list)
    local blob = emit.weights(build, work .. "/" .. prefix .. "_weights.bin", progress)
    for _, file in ipairs(build.files) do file:forget() end
    progress("writing C", 1, 1)
    local texts = emit.texts(build, blob, info)
    add_copies(texts, build, list)
    for _, file in ipairs(build.files) do file:confirm() end
    write_texts(build, device, work, texts, rename, blob, info)
    target:commit()
  end)
  target:close()
  if not ok then error(target:renamed(message), 0) end
  if build.board.emulator_lost then
    require("cli.progress").warn(build.board.emulator_lost, build.board.name)
  end
  for _, bank in ipairs(build.banks) do
    for _, warning in ipairs(bank.model.warnings) do require("cli.progress").warn(warning, bank.name) end
  end
  return build
end

return compiler
