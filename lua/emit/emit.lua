-- SPDX-License-Identifier: Apache-2.0
--- Emission: scheduled graph -> the generated folder. Texts are rendered from templates; weights go to the blob first,
-- since their places are part of the text.
local activations = require "graph.activations"
local arithmetic = require "target.arithmetic"
local fail = require "support.fail"
local finite = require "import.finite"
local preparation = require "import.preparation"
local print = require "emit.print"
local reference = require "msagen.reference"
local sam = require "networks.sam"
local segment = require "lower.segment"
local stream = require "schedule.fetches"
local template = require "support.template"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"
local types = require "graph.types"
local kernels = require "kernels.kernels"
local memory = require "schedule.memory"

local emit = {}

-- Fourier features of the positions, [g*g, E]: made in f32-fma-1 for every board, so that classes differ in their
-- blob's header alone. @param R others' naive kernels, where no board's build asks
local function dense_position(model, R)
  local name = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
  local gaussian = model.tensor[name]
  finite.check(model, name)
  return (R or reference).position(gaussian, model.grid):rename(gaussian.name)
end

-- Prompt tokens are made of rows of the checkpoint's tensors, the network's prompts say which; text prompts follow.
local function prompt_rows(model)
  local E = model.out
  local values = {}
  local function put(source)
    for _, v in ipairs(source:reshape { source:numel() }:totable()) do values[#values + 1] = v end
  end
  for _, name in ipairs(sam.prompts(model).rows) do
    finite.check(model, name)
    put(model.tensor[name])
  end
  if model.texts then put(model.texts.matrix) end
  return tensor.from(values, { #values // E, E }):rename "prompt_encoder"
end

-- The checkpoint's tensors in them, in order; and of the text prompts' file.
local function prompt_sources(model)
  local list = {}
  for i, name in ipairs(sam.prompts(model).rows) do list[i] = model.tensor[name] end
  local names = segment.of(table.unpack(list))
  names.texts = model.texts and model.texts.sources
  return names
end

--- The two segments that are no layer's own: dense positions, and the rows that tokens are made of.
-- @param private set of names, "position" and "prompt", that differ between banks
-- @param R the naive kernels that positions are made by; nil: those of f32-fma-1
function emit.tables(model, private, R)
  local position, prompt = segment.new(private), segment.new(private)
  local once
  local gaussian = model.tensor["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
  position:rows("position", model.grid * model.grid, model.out, kernels.stride(model.out), function()
    once = once or dense_position(model, R)
    return once
  end, segment.of(gaussian))
  local count = #sam.prompts(model).rows - 1 + model.decoder.masks + (model.texts and #model.texts.names or 0)
  prompt:rows("prompt", count, model.out, model.out, function() return prompt_rows(model) end, prompt_sources(model))
  return { position = position, prompt = prompt }
end

-- Where each thing lies in a blob that is written.
local function note_places(build, report)
  local graph, places, tables = build.graph, report.places, build.tables
  for _, L in ipairs(graph.fused) do L.weights_at = places[L.name] or 0 end
  report.front_at = places.front or 0
  report.position_at, report.position_bank = places.position, tables.position.own
  report.prompt_at, report.prompt_bank = places.prompt, tables.prompt.own
  for _, L in ipairs(graph.fused) do
    for i, used in ipairs(L.uses or {}) do
      used.prepare_at = graph.stream and L.segment:before(i, #build.banks) or used.weights_at
    end
  end
  if graph.stream then stream.place(graph, report, #build.banks) end
end

--- Write the blob: a segment a layer, then the dense positions and the prompt's rows.
-- @param banks the builds of all banks, the first being the one whose graph is emitted
-- @return the blob's report, with `parts`: what segment:write tells of each, its segment, and the layer that reads it;
-- layers get `weights_at`, bytes from its start
function emit.weights(build, path, progress)
  local graph, banks = build.graph, build.banks
  -- The same layer's segment in another bank.
  local function segment_in(bank, L)
    if L.uses then
      local list = {}
      for i, used in ipairs(L.uses) do list[i] = segment_in(bank, used) end
      return segment.series(list)
    end
    for _, other in ipairs(bank.graph.fused) do
      if other.name == L.name then return other.segment end
    end
  end
  local blob = require("msagen.blob").create(path, { arith = build.arithmetic, version = 1 })
  local ok, result = pcall(function()
    local places, parts = {}, {}
    local function one(name, seg, others, reader)
      blob:segment(name)
      local list
      places[name], list = seg:write(blob, others)
      for _, part in ipairs(list) do
        part.segment, part.reader = name, reader
        parts[#parts + 1] = part
      end
    end
    local function others(pick)
      local list = {}
      for k = 2, #banks do list[k - 1] = pick(banks[k]) end
      return list
    end
    for i, L in ipairs(graph.fused) do
      progress(("packing weights: %s"):format(L.name), i, #graph.fused)
      local same = others(function(bank) return segment_in(bank, L) end)
      if L.segment:bytes() > 0 then one(L.name, L.segment, same, L.name) end
    end
    for _, name in ipairs { "position", "prompt" } do one(name, build.tables[name],
      others(function(bank) return bank.tables[name] end)) end
    if build.front and #build.front.segment.parts > 0 then one("front", build.front.segment, nil, "front") end
    local report = blob:close()
    report.places, report.parts = places, parts
    return report
  end)
  if not ok then
    blob:abort()
    local models = {}
    for i, bank in ipairs(banks) do models[i] = bank.model end
    error(finite.located(models, result), 0)
  end
  note_places(build, result)
  return result
end

-- Names of the tensors that a layer's weights are made of, in the order in which they lie.
local function cite(L)
  local names, seen = {}, {}
  for _, part in ipairs(L.segment.parts) do
    local from = type(part.from[1]) == "table" and table.move(part.from[2], 1, #part.from[2], #part.from[1] + 1,
      table.move(part.from[1], 1, #part.from[1], 1, {})) or part.from
    for _, name in ipairs(from) do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  return names
end

local function wrapped(prefix, words, width)
  local lines, line = {}, prefix
  for i, word in ipairs(words) do
    local piece = word .. (i < #words and "," or "")
    if #line + 1 + #piece > width and line ~= prefix then
      lines[#lines + 1] = line
      line = " *   "
    end
    line = line .. (line:sub(-1) == " " and "" or " ") .. piece
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function spaced(n)
  local s = ("%d"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", ""))
end

-- The texts of a layer's functions. Leaves L.prototypes, L.arguments, L.core.
local function layer_text(L, loops, printer, ready_text)
  local own = print.place("arena", L.scratch_at + L.shared)
  if loops.cores > 1 then own = ("%s + MSA_SLOT(core) * (size_t)%d"):format(own, types.base(L.own)) end
  local places, text = { at = L.at, shared = L.scratch_at, own = own }, nil
  L.prototypes = {}
  if L.uses then
    text, L.prototypes[1], L.arguments, L.core = ready_text(L)
  else
    text, L.prototypes[1], L.arguments, L.core = printer:step(L.lowered, places)
  end
  if L.prepare then
    local before, prototype = printer:step(L.prepare, places)
    table.insert(L.prototypes, 1, prototype)
    text = before .. "\n" .. text
  end
  local head = ("/* Layer %d of %s: %s.\n%s\n * Multiply-adds %s; weights %s bytes; scratch %s bytes. */\n"):format(
    L.number, L.phase, L.name, wrapped(" * Tensors:", cite(L), 118), spaced(L.macs), spaced(L.segment:bytes()),
    spaced(L.scratch))
  return head .. text
end

--- runtime/msa_arith.h for a class of arithmetic: the class is part of the text, whatever flags a compiler is given.
function emit.arith(text, class)
  local by = ("#define MSA_ARITHMETIC_MULADD %d /* %s */\n"):format(arithmetic.rounds_twice(class) and 1 or 0, class)
  local result, count = text:gsub("#ifndef MSA_ARITHMETIC_MULADD[^\n]*\n#define MSA_ARITHMETIC_MULADD 0\n#endif\n", by)
  assert(count == 1, "msa_arith.h does not say where the class stands")
  return result
end

--- runtime/msa.h with the version of this msagen, as a number that #if can compare and as text.
function emit.version(text)
  local major, minor, patch = msagen.version:match "^(%d+)%.(%d+)%.(%d+)"
  local by = ("#define MSA_VERSION %d\n#define MSA_VERSION_TEXT \"%s\"\n"):format(major * 10000 + minor * 100 + patch,
    msagen.version)
  local result, count = text:gsub("#ifndef MSA_VERSION [^\n]*\n#define MSA_VERSION 0\n"
    .. "#define MSA_VERSION_TEXT [^\n]*\n#endif\n", by)
  assert(count == 1, "msa.h does not say where the version stands")
  return result
end

-- Words spread over the arena, by which a call sees that a hook wrote there: no weights, which the hooks of a streamed
-- build write.
local SAMPLES = 32
local function samples_of(graph)
  local fetched, list = {}, {}
  for _, phase in ipairs(graph.stream and { "encode", "decode" } or {}) do
    for b = 0, 1 do fetched[stream.name(phase, b)] = true end
    for _, item in ipairs(graph.stream[phase].items) do fetched[item.buffer] = true end
  end
  for i = 1, SAMPLES do
    local at, free = types.base(graph.memory.bytes) * (2 * i - 1) // (2 * SAMPLES), true
    for _, b in ipairs(graph.memory.buffers) do
      local byte = types.bytes(types.BASE, at)
      if fetched[b.name] and byte >= b.offset and byte < b.offset + b.bytes then free = false end
    end
    if free then list[#list + 1] = at end
  end
  return #list > 0 and list or { types.base(graph.memory.by_name.embedding.offset) }
end

local function macs(list)
  local sum = 0
  for _, L in ipairs(list) do sum = sum + (L.uses and 0 or L.macs) end
  return sum
end

-- The texts of all layers. @return those of the encoder, those of the decoder, all prototypes
local function layers_of(build, blob, loops)
  local printer = print.new(build.kernels, loops)
  local encode, decode, prototypes = {}, {}, {}
  local ready_text = require("schedule.ready").printer(build, blob, loops)
  for _, L in ipairs(build.graph.fused) do
    L.text = layer_text(L, loops, printer, ready_text)
    L.decoding = L.phase == "decode"
    L.leaves_embedding = not L.decoding and not L.uses and L.buffers.embedding ~= nil
    local list = L.decoding and decode or encode
    list[#list + 1] = L
    for _, prototype in ipairs(L.prototypes) do prototypes[#prototypes + 1] = prototype .. ";" end
  end
  return encode, decode, prototypes
end

-- What templates see of cores, banks and fetched weights.
local function variants(build, loops)
  local graph, several = build.graph, loops.cores > 1
  local bank_names = {}
  for i, bank in ipairs(build.banks) do bank_names[i] = bank.name or "default" end
  return { banks = build.banks, bank_macros = require("import.text").identifiers(bank_names),
    cores = loops.cores, core_parameter = loops.core_parameter, core_argument = several and ", core" or "",
    team_argument = several and ", s, core" or "",
    layer_end = function(phase, number)
      return ("msa_layer_end(s, MSA_PHASE_%s, %d%s)"):format(phase, number, several and ", core" or "")
    end,
    streamed = graph.stream and stream or false, pieces = graph.stream
      and { encode = graph.stream.encode.items, decode = graph.stream.decode.items },
    bank_of = function(L) return print.bank_argument(L.segment, "s->bank") end }
end

-- Files whose arithmetic msa_open asks.
local function computing_of(build, info)
  return { "msa_image", preparation.resamplings[build.model.resampling].calls, "msa_upsample", "msa_prompt",
    "msa_kernels", table.unpack(info.extras) }
end

-- What templates see.
local function environment(build, blob, info)
  local graph, model, board = build.graph, build.model, build.board
  local loops = require("schedule.split").loops(graph.cores or 1)
  local encode, decode, prototypes = layers_of(build, blob, loops)
  -- What is made ready for the decoder while encoding is the decoder's.
  info.macs_encode, info.macs_decode = macs(encode), macs(decode) + (graph.ready_macs or 0)
  local hash = {}
  for byte in blob.model_hash:gmatch("%x%x") do hash[#hash + 1] = "0x" .. byte end
  local env = variants(build, loops)
  local front = build.front and require("signal.front").environment(build.front, build.kernels, blob.front_at)
  for _, prototype in ipairs(front and front.prototypes or {}) do prototypes[#prototypes + 1] = prototype end
  local origin = (" * checkpoint sha256 %s\n"
    .. " * dialect %s   board %s   resolution %d   depth %d   precision %s   arithmetic %s"):format(
    model.source.sha256, model.dialect, board.name, model.image_size, model.depth, build.precision,
    build.arithmetic)
  for name, value in pairs {
    version = msagen.version, made_by = emit.made_by(), integer = board.integer,
    bf16 = board.bf16 or false,
    origin = origin, model = model, board = board, isa = board.isa, info = info, blob = blob, memory = graph.memory,
    lde = kernels.stride(model.out), encode = encode, decode = decode, prototypes = prototypes,
    kernels = build.kernels, hash = table.concat(hash, ", "), arithmetic = build.arithmetic,
    flags = table.concat(board.flags, " "), token_rows = tokens.rows(model), max_points = tokens.MAX_POINTS,
    table = table, spaced = spaced, wrapped = print.wrapped, place = print.place, types = types,
    macro = print.macro, words = print.words,
    text_macros = model.texts and require("import.text").identifiers(model.texts.names) or {},
    linkable = blob.bytes < 2 ^ 31, -- assemblers and 32-bit relocations end there
    answer = require("emit.known_answer").compute(build), samples = samples_of(graph),
    resampling = preparation.resamplings[model.resampling],
    classes = model.mask_rule == "first" and (model.classes or 1) or 0,
    kept_buffers = memory.KEPT, guards = graph.guards,
    network = true, front = front or false, precision = build.precision, computing = computing_of(build, info),
    result_masks = model.mask_rule == "first" and (model.classes or 1) or math.max(1, model.decoder.masks - 1),
  } do env[name] = value end
  return env
end

-- Names of the activations that a text calls.
local function activations_in(text)
  local list = {}
  for _, name in ipairs(activations.computed) do
    local entry = activations.entries[name]
    if text:find(entry.vector .. "(", 1, true) or text:find(entry.scalar .. "(", 1, true) then
      list[#list + 1] = name
    end
  end
  return list
end

--- The parts of a front end in texts that networks have, too, and of a network in those that front ends have: what
-- templates see of them by name.
function emit.front_texts(folder, env)
  for name, file in pairs { front_header = "front/header.h", front_internal = "front/internal.h",
    front_text = "front/session.c" } do
    env[name] = env.front and template.file(folder, file, env):gsub("\n$", "") .. (name == "front_text" and "\n" or "")
      or ""
  end
end

-- Where a board that says so has weights: the address of the first memory that may hold them.
local function weights_address(board)
  for _, memory in ipairs(board.memories or {}) do
    for _, thing in ipairs(memory.holds) do
      if thing == "weights" and memory.address then return ("0x%08x"):format(memory.address) end
    end
  end
  return false
end

--- What builds a folder and finds what was built: Makefile, CMakeLists.txt and a file for pkg-config, added to texts.
function emit.packaging(texts, folder, env)
  env = setmetatable({ version = msagen.version, weights_address = weights_address(env.board) }, { __index = env })
  for name, file in pairs { Makefile = "Makefile", ["CMakeLists.txt"] = "CMakeLists.txt",
    [env.info.library .. ".pc"] = "package.pc" } do
    texts[name] = template.file(folder, file, env)
  end
end

--- The first line of a generated text says that msagen made it.
function emit.made_by() return ("Generated by msagen %s; do not edit."):format(msagen.version) end

--- All generated texts: file name -> text, for prefix msa.
function emit.texts(build, blob, info)
  local folder = msagen.datadir .. "/templates"
  local env = environment(build, blob, info)
  local texts = { ["msa_kernels.c"] = template.file(folder, "kernels.c", env) }
  env.isa = setmetatable({ activations = activations_in(texts["msa_kernels.c"]) }, { __index = env.isa })
  env.network_text = template.file(folder, "network.c", env)
  emit.front_texts(folder, env)
  for _, name in ipairs { "model.h", "internal.h", "simd.h", "kernels.h", "encoder.c", "decoder.c", "known_answer.c",
    "weights.S", "weights.b", "model.c" } do
    texts["msa_" .. name] = template.file(folder, name, env)
  end
  for _, header in ipairs(build.kernels:headers()) do
    texts[header] = template.file(folder, header:gsub("^msa_", ""), env)
  end
  if env.front then texts["msa_front.c"] = template.file(folder, "front.c", env) end
  if build.graph.stream then texts["msa_stream.c"] = template.file(folder, "stream.c", env) end
  if not env.linkable then texts["msa_weights.S"], texts["msa_weights.b"] = nil, nil end
  emit.packaging(texts, folder, env)
  return texts
end

return emit
