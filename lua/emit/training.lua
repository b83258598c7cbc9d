-- SPDX-License-Identifier: Apache-2.0
--- Emission of a training program: its weights, then its texts (templates/train/).

local activations = require "graph.activations"
local kernels = require "kernels.kernels"
local losses = require "train.losses"
local order = require "lower.plain.order"
local preparation = require "import.preparation"
local print = require "emit.print"
local segment = require "lower.segment"
local template = require "support.template"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"
local types = require "graph.types"

local training = {}

local GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

local MACROS = { encode = "MSA_PHASE_ENCODE", decode = "MSA_PHASE_DECODE",
  decode_backward = "MSA_PHASE_DECODE_BACKWARD", encode_backward = "MSA_PHASE_ENCODE_BACKWARD" }

-- What of the weights no layer reads: parameters as they begin, and what features of prompts are made with.
local function add_parts(made, model)
  local seg = made.values.segment
  for i, one in ipairs(made.trained.list) do
    local t = one.value.tensor
    seg:rows(("initial_%d"):format(i), one.rows, one.width, one.stride, function()
      return require("import.deferred").value(t):reshape { one.rows, one.width }:rename(one.name)
    end, segment.of(t))
  end
  if made.graph.inputs.patches and model.normalise.mean then
    seg:vector("levels", 768, function() return preparation.levels(model.normalise) end, segment.of())
  end
  if made.graph.outputs.prediction then return end
  local gaussian = model.tensor[GAUSSIAN]
  seg:vector("gaussian", model.out, function() return gaussian:reshape { model.out }:rename(gaussian.name) end,
    segment.of(gaussian))
end

--- Write the weights. @return the blob's report
function training.weights(build, path, progress)
  local made = build.made
  add_parts(made, build.model)
  local blob = require("msagen.blob").create(path, { arith = build.arithmetic, version = 1 })
  local ok, result = pcall(function()
    progress("packing weights", 1, 1)
    blob:segment "weights"
    local at, parts = made.values.segment:write(blob)
    local report = blob:close()
    report.at, report.parts = at, parts
    return report
  end)
  if not ok then
    blob:abort()
    error(require("import.finite").located({ build.model }, result), 0)
  end
  return result
end

local function spaced(n)
  local s = ("%d"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", ""))
end

-- The checkpoint's tensors that a group takes, in order, as lines of a comment.
local function cite(one)
  local lines, line, seen = {}, " * Tensors:", {}
  for _, op in ipairs(one.ops) do
    for _, x in ipairs(op.inputs) do
      local name = (x.kind == "parameter" or x.kind == "constant") and x.name
      if name and name:find(".", 1, true) and not seen[name] then
        seen[name] = true
        if #line + #name > 116 then
          lines[#lines + 1] = line
          line = " *  "
        end
        line = ("%s %s"):format(line, name)
      end
    end
  end
  if next(seen) then lines[#lines + 1] = line end
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

-- The text of a group's function. Leaves one.text, prototype, arguments, core, team.
local function group_text(made, one, printer, loops)
  local at = {}
  for _, b in ipairs(made.memory.buffers) do at[b.name] = b.offset end
  local own = one.own > 0 and print.place("arena", at["scratch " .. one.label]) or "arena"
  if loops.cores > 1 and one.own > 0 and not one.step:alone() then
    own = ("%s + MSA_SLOT(core) * (size_t)%d"):format(own, types.base(types.lines(one.own)))
  end
  local text
  text, one.prototype, one.arguments, one.core = printer:step(one.step, { at = at, shared = 0, own = own })
  one.team = one.core == "team" and ", &s->session, core" or one.core and ", core" or ""
  one.text = ("/* Layer of %s: %s.\n%s * Multiply-adds %s; scratch %s bytes. */\n%s"):format((one.phase:gsub("_", " ")),
    one.label, cite(one), spaced(one.macs), spaced(one.own), text)
end

-- What a phase's function has under the names that its layers are told.
local VARIABLES = { image = "const msa_image *const image = s->image;", count = "const size_t count = s->tokens;",
  slice = "const size_t slice = s->slice;", with_mask_prompt = "const size_t with_mask_prompt = s->with_mask;" }

local function phases_of(made)
  local list, by_name = {}, {}
  for _, one in ipairs(made.groups) do
    local phase = by_name[one.phase]
    if not phase then
      phase = { name = one.phase, macro = MACROS[one.phase], groups = {}, declarations = {}, seen = {} }
      by_name[one.phase], list[#list + 1] = phase, phase
    end
    phase.groups[#phase.groups + 1] = one
    for _, argument in ipairs(one.arguments) do
      if VARIABLES[argument] and not phase.seen[argument] then
        phase.seen[argument] = true
        phase.declarations[#phase.declarations + 1] = VARIABLES[argument]
      end
    end
  end
  return list, by_name
end

-- Places of buffers that the session's functions know: { NAME, floats }.
local function places_of(made)
  local list, g, values = {}, made.graph, made.values
  local function put(name, view)
    list[#list + 1] = { name, types.base(made.memory.by_name[view.storage.name].offset) + view.at }
  end
  for _, name in ipairs { "parameters", "gradient", "first", "second", "slots", "prompt_table", "token_features",
    "token_index", "text", "mask_prompt", "dlogits", "diou", "dembedding", "loss_work",
    "image_work", "patches", "partner_patches", "index", "back", "shares", "dprediction" } do
    local made_buffer = values.buffers[name]
    if made_buffer then put(name:upper(), made_buffer.view) end
  end
  for _, name in ipairs { "logits", "scores", "embedding", "prediction" } do
    if g.outputs[name] then put(name:upper(), values:whole(g.outputs[name])) end
  end
  return list
end

-- A rule as C has it.
local function loss_rule(rule)
  return ("{%s, %.17g, %s, %.17g, %.17g, %.17g}"):format("MSA_LOSS_" .. rule.kind:upper(), rule.pos_weight or 1,
    rule.cross_entropy == "binary" and "true" or "false", rule.focal or 0, rule.dice or 0, rule.iou or 0)
end

-- Inputs of a pass that are rows, by their names.
local function rows_of(g)
  local rows = {}
  for _, name in ipairs { "index", "back", "shares" } do
    rows[name] = g.inputs[name] and order.rows(g.inputs[name]) or false
  end
  return rows
end

-- Of how many rows those are picked that an input says.
local function picked_of(g)
  local of = {}
  for _, op in ipairs(g.values) do
    if op.kind == "pick" then of[op.inputs[2].name] = order.rows(op.inputs[1]) end
  end
  return of
end

local function environment(build, blob, info)
  local made, model, board = build.made, build.model, build.board
  local loops = require("schedule.split").loops(made.cores)
  local printer, prototypes = print.new(build.kernels, loops), {}
  for _, one in ipairs(made.groups) do
    group_text(made, one, printer, loops)
    prototypes[#prototypes + 1] = one.prototype .. ";"
  end
  local phases, by_name = phases_of(made)
  local hash, elements = {}, 0
  for byte in blob.model_hash:gmatch "%x%x" do hash[#hash + 1] = "0x" .. byte end
  for _, one in ipairs(made.trained.list) do elements = elements + one.rows * one.width end
  local seg, base = made.values.segment, types.base(blob.at)
  local function part(role) return base + types.base(segment.bytes_to(seg.at[role])) end
  local dembedding = made.values.buffers.dembedding
  local g, prediction = made.graph, made.graph.outputs.prediction
  info.macs, info.macs_again = made.macs, made.macs_again
  local env = { cores = made.cores, core_parameter = loops.core_parameter,
    core_argument = made.cores > 1 and ", core" or "",
    phases = phases, groups = made.groups, prototypes = prototypes, places = places_of(made), trained = made.trained,
    elements = elements, memory = made.memory, model = model, board = board, isa = board.isa, info = info, blob = blob,
    kernels = build.kernels, hash = table.concat(hash, ", "), arithmetic = build.arithmetic,
    flags = table.concat(board.flags, " "), token_rows = tokens.rows(model), max_points = tokens.MAX_POINTS,
    batch = build.batch, target_side = build.target_side, slots = made.slots, weights_at = base,
    initial_at = part "initial_1", gaussian_at = not prediction and part "gaussian", prompt_rows = made.prompt_rows,
    lde = kernels.stride(model.out), loss_bytes = made.loss_bytes,
    mask_prompt = made.values.buffers.mask_prompt ~= nil,
    text_width = model.projection and model.projection.shape[2] or 0,
    text_floats = made.values.buffers.text and types.base(made.values.buffers.text.bytes) or 0,
    dembedding = dembedding and types.base(dembedding.bytes) or false, encode_backward = by_name.encode_backward ~= nil,
    encodes = build.net.encodes, from = build.from, scores = build.scores,
    loss_rule = loss_rule(build.rule or losses.of(nil, model)), linkable = blob.bytes < 2 ^ 31,
    classes = model.mask_rule == "first" and (model.classes or 1) or 0,
    objective = made.net.objective or false, objective_name = made.net.name, prediction = prediction or false,
    patches = g.inputs.patches and made.values:whole(g.inputs.patches):ld() or false, image_work = made.image_work,
    levels_at = g.inputs.patches and model.normalise.mean and part "levels" or false, rows = rows_of(g), order = order,
    prediction_stride = prediction and made.values:whole(prediction):ld(), picked_of = picked_of(g),
    resampling = preparation.resamplings[model.resampling], table = table, spaced = spaced, wrapped = print.wrapped,
    macro = print.macro, words = print.words, types = types,
    made_by = require("emit.emit").made_by(),
    origin = (" * checkpoint sha256 %s\n * dialect %s   board %s   resolution %d   depth %d   arithmetic %s"):format(
      model.source.sha256, model.dialect, board.name, model.image_size, model.depth, build.arithmetic) }
  return env
end

local function activations_in(text)
  local list = {}
  for _, name in ipairs(activations.computed) do
    local entry = activations.entries[name]
    if text:find(entry.vector .. "(", 1, true) or text:find(entry.scalar .. "(", 1, true)
      or text:find(entry.vector .. "_dx(", 1, true) or text:find(entry.scalar .. "_dx(", 1, true) then
      list[#list + 1] = name
    end
  end
  return list
end

--- All texts: file name -> text.
function training.texts(build, blob, info)
  local folder = msagen.datadir .. "/templates"
  local env = environment(build, blob, info)
  local texts = { ["msa_kernels.c"] = template.file(folder, "kernels.c", env) }
  env.isa = setmetatable({ activations = activations_in(texts["msa_kernels.c"]) }, { __index = env.isa })
  for _, name in ipairs { "simd.h", "kernels.h" } do texts["msa_" .. name] = template.file(folder, name, env) end
  for _, name in ipairs(env.linkable and { "weights.S", "weights.b" } or {}) do
    texts["msa_" .. name] = template.file(folder, name, env)
  end
  for _, name in ipairs(env.objective and { "update", "patches", "passes" } or { "update" }) do
    env[name .. "_text"] = template.file(folder, ("train/%s.c"):format(name), env):gsub("\n$", "")
  end
  for file, name in pairs { ["train.h"] = "msa_train.h", ["train.c"] = "msa_train.c",
    ["layers.c"] = "msa_train_layers.c", ["internal.h"] = "msa_train_internal.h" } do
    texts[name] = template.file(folder, "train/" .. file, env)
  end
  require("emit.emit").packaging(texts, folder, env)
  return texts
end

training.order, training.tensor = order, tensor

return training
