-- SPDX-License-Identifier: Apache-2.0
-- What is in a checkpoint, for a person (text) or a machine (a table for JSON): dialect or the choices,
-- hyper-parameters, every tensor's fate, warnings.

local banks = require "import.banks"
local dialects = require "import.dialects"
local encoders = require "networks.encoders"
local import = require "import.import"
local layout = require "support.layout"
local names = require "import.names"
local precisions = require "estimate.precisions"
local preparation = require "import.preparation"
local shapes = require "import.shapes"

local inspect = {}

local clicks = { xy = "(x,y)", rc = "(row,column)" }

local function elements(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

--- The values of what differs between the dialects the file may be of, "a | b".
local function either(candidates, read)
  local list, seen = {}, {}
  for _, name in ipairs(candidates) do
    local text = read(dialects.named(name))
    if not seen[text] then
      seen[text] = true
      list[#list + 1] = text
    end
  end
  return table.concat(list, " | ")
end

local function file_facts(ckpt, prefix)
  return { weights_key = ckpt.set ~= "." and ckpt.set or nil, path = utf8.len(ckpt.path) and ckpt.path
    or names.show(ckpt.path), format = ckpt.format, container = ckpt.container, prefix = prefix,
    sha256 = ckpt:sha256() }
end

--- Look at an open checkpoint, on the open checkpoint `base` if there is one. Fails with one line where it is no model
-- that msagen knows.
-- Gives the report, and the model that it was made from.
-- options: ignore, weights_key, several (import/file.lua)
function inspect.report(ckpt, base, options)
  options = options or {}
  local model = import.account(ckpt, { base = base, ignore = options.ignore, weights_key = options.weights_key,
    several = options.several })
  local totals = { used = 0, folded = 0, resampled = 0, dead = 0 }
  local values, tensors = 0, {}
  for i, fate in ipairs(model.fates) do
    totals[fate.fate] = (totals[fate.fate] or 0) + 1
    values = values + elements(fate.shape)
    tensors[i] = { name = names.show(fate.name), shape = fate.shape, dtype = fate.dtype, fate = fate.fate,
      why = fate.why, file = fate.file }
  end
  local encoder = encoders.named(model.encoder.kind, "inspect")
  local report = {
    file = file_facts(ckpt, model.source.prefix),
    base = base and file_facts(base, model.source.base.prefix),
    dialect = model.dialect, candidates = model.candidates, choices = model.choices,
    model = {
      image_size = model.file_size, patch = model.patch, grid = model.file_grid,
      out = model.out, adapters = model.adapters, lora = model.lora,
      pad = model.pad, places = model.places,
      first_self_attention = model.first_self_attention, mask_rule = model.mask_rule,
      best_of_several = model.best_of_several,
        mask_tokens = model.decoder.masks,
      resize = model.resize, preparation = model.preparation, decoder = model.decoder,
      default_size = model.image_size,
      normalise = either(model.candidates, function(d) return d.normalise end),
      training_clicks = either(model.candidates, function(d) return clicks[d.training.clicks] end),
      training_upsampling = either(model.candidates, function(d) return d.training.upsampling end),
    },
    totals = totals, values = values, tensors = tensors, warnings = model.warnings,
    spoken_normalise = either(model.candidates, function(d) return preparation.normalisations[d.normalise].spoken end),
    spoken_encoder = encoder.spoken(model.encoder, model.out),
  }
  for name, fact in pairs(encoder.facts(model.encoder)) do report.model[name] = fact end
  return report, model
end

local spoken = {
  pad = { zero = "zeros", norm1_bias = "norm1's bias" },
  mask_rule = { multimask = "mask 0, or 1 to %d with --multimask", first = "the first n of %d, n = --classes",
    best = "the best of 1 to %d, or mask 0 with --one-mask" },
}

-- Reasons for one fate that the summary lists.
local MOST_REASONS = 4

local function join(list, separator)
  local texts = {}
  for i, item in ipairs(list) do texts[i] = tostring(item) end
  return table.concat(texts, separator)
end

local function adapters_text(model)
  if model.lora then return "none; LoRA pairs, folded into their weights" end
  if model.adapters == "paper" then return "encoder and decoder, as in the paper" end
  return model.adapters
end

local BYTES = { f64 = 8, i64 = 8, f32 = 4, i32 = 4, f16 = 2, bf16 = 2, i16 = 2, i8 = 1, u8 = 1, bool = 1 }

-- "292 used, 24 dead", and a row for each fate but the first with its reasons.
local function fates(report, say)
  local counts, reasons, bytes = {}, {}, 0
  for _, one in ipairs(report.tensors) do
    bytes = bytes + elements(one.shape) * (BYTES[one.dtype] or 0)
    local list = reasons[one.fate] or {}
    reasons[one.fate] = list
    if not list[one.why] then
      list[one.why] = 0
      list[#list + 1] = one.why
    end
    list[one.why] = list[one.why] + 1
  end
  for _, fate in ipairs { "used", "folded", "resampled", "dead", "unknown" } do
    local count = report.totals[fate] or 0
    if count > 0 then counts[#counts + 1] = ("%d %s"):format(count, fate) end
  end
  say("tensors", "%d, of %d values, %s: %s", #report.tensors, report.values, layout.bytes(bytes), join(counts, ", "))
  for _, fate in ipairs { "folded", "resampled", "dead", "unknown" } do
    local texts = {}
    for i, why in ipairs(reasons[fate] or {}) do texts[i] = ("%d: %s"):format(reasons[fate][why], why) end
    if #texts > MOST_REASONS then
      texts = { ("%d, each for a reason of its own (--tensors)"):format(report.totals[fate]) }
    end
    if #texts > 0 then say(fate, "%s", join(texts, "; ")) end
  end
end

-- What the network is.
local function network(report, say)
  local model, decoder = report.model, report.model.decoder
  if model.image_size then
    say("resolution", "%d (grid %d, patch %d)", model.image_size, model.grid, model.patch)
  else
    say("resolution", "not in the file (patch %d)%s", model.patch, model.default_size
      and ("; default %d"):format(model.default_size) or "")
  end
  say("encoder", "%s", report.spoken_encoder)
  say("adapters", "%s", adapters_text(model))
  say("decoder", "%d layers, heads %d (no tensor tells), mlp %d, cross attention %d wide, %d mask tokens",
    decoder.layers, decoder.heads, decoder.mlp, decoder.cross, decoder.masks)
  local rule = model.best_of_several and "best" or model.mask_rule
  say("masks", spoken.mask_rule[rule], rule == "first" and decoder.masks or decoder.masks - 1)
  say("input", "%s; %s", preparation.resizes[model.resize].spoken, report.spoken_normalise)
  say("image", "%s", model.preparation)
  if not model.places then say("window padding", "%s", spoken.pad[model.pad]) end
  if model.places then say("prompts", "%d places, points before a box's corners; no mask prompt", model.places) end
  say("in training", "clicks %s, masks up-sampled: %s", model.training_clicks, model.training_upsampling)
end

-- What its weights come to in a build of each precision.
local function built(report, say)
  local texts = {}
  for i, one in ipairs(report.built or {}) do
    local parts = precisions.spoken(one.by_precision)
    texts[i] = ("%s %s%s"):format(one.precision, layout.bytes(one.bytes), parts ~= "" and (" (%s)"):format(parts) or "")
  end
  if #texts > 0 then say("in a build", "%s", join(texts, "; ")) end
end

-- Which file it is.
local function origin(report, say, rows)
  local function one(what, file)
    rows[#rows + 1] = { what, file.path, shorten = true }
    say("container", "%s, %s%s%s", file.format, file.container, file.weights_key
      and "; weights under " .. names.show(file.weights_key) or "",
      file.prefix and "; every name begins with " .. names.show(file.prefix) or "")
    say("sha256", "%s", file.sha256)
  end
  one("file", report.file)
  if report.base then one("base", report.base) end
end

-- How a text is laid out; wide enough for anything where nothing is said.
local function laid(how) return how or { width = math.maxinteger } end

--- The summary as lines of text. @param how lua/support/layout.lua's, { width =, paint = } or nil
function inspect.text(report, how)
  local rows = {}
  local function say(what, format, ...) rows[#rows + 1] = { what, format:format(...) } end
  origin(report, say, rows)
  say("dialect", "%s", report.dialect or join(report.candidates, " or ") .. ": nothing in the file tells which")
  network(report, say)
  fates(report, say)
  built(report, say)
  for _, choice in ipairs(report.choices) do
    say("choose", "%s %s (%s)", choice.option, join(choice.values, "|"), choice.why)
  end
  for _, warning in ipairs(report.warnings) do rows[#rows + 1] = { "warning", warning, style = "warning" } end
  return layout.facts(rows, laid(how))
end

-- A table whose first column may be shortened.
local function tabled(rows, how, right)
  how = laid(how)
  return layout.table(rows, { width = how.width, paint = how.paint, shorten = 1, right = right })
end

--- All tensors as lines of text, with their fates.
function inspect.tensors_text(report, how)
  local rows = { { "tensor", "shape", "dtype", "fate", "why" } }
  for _, one in ipairs(report.tensors) do
    rows[#rows + 1] = { one.name, shapes.text(one.shape), one.dtype, one.fate, one.why }
  end
  if report.base then
    for i, row in ipairs(rows) do table.insert(row, 4, i == 1 and "file" or report.tensors[i - 1].file) end
  end
  return tabled(rows, how)
end

--- The report with its arrays marked, so that an empty one is written as [], and null for what is not in the file.
function inspect.json(report)
  local array, null = require "msagen.json".array, require "msagen.json".null
  report.dialect = report.dialect or null
  report.file.prefix = report.file.prefix or null
  report.file.weights_key = report.file.weights_key or null
  if report.base then
    report.base.prefix, report.base.weights_key = report.base.prefix or null, report.base.weights_key or null
  end
  for _, key in ipairs { "image_size", "grid", "window", "global_blocks", "default_size" } do
    if report.model[key] == nil then report.model[key] = null end
  end
  report.spoken_normalise, report.spoken_encoder = nil, nil
  array(report.candidates)
  array(report.choices)
  for _, choice in ipairs(report.choices) do array(choice.values) end
  array(report.tensors)
  for _, one in ipairs(report.tensors) do array(one.shape) end
  array(report.warnings)
  report.built = report.built or null
  if report.built ~= null then
    for _, one in ipairs(array(report.built)) do array(one.by_precision) end
  end
  if report.model.global_blocks ~= null then array(report.model.global_blocks) end
  return report
end

--- What several files share (import.banks.compare's report) as lines of text.
function inspect.shared_text(shared, how)
  local rows = { { "file", "tensors", "bytes", "of its own", "bytes", "" } }
  for _, file in ipairs(shared.files) do
    rows[#rows + 1] = { file.path, tostring(file.tensors), tostring(file.bytes), tostring(file.private_tensors),
      tostring(file.private_bytes), "" }
  end
  local lines = tabled(rows, how, { false, true, true, true, true })
  rows = { { "equal in all", ("%d tensors, %d bytes"):format(shared.shared_tensors, shared.shared_bytes) } }
  if shared.obstacle then
    rows[2] = { "as banks", "not of one build: " .. shared.obstacle }
  else
    rows[2] = { "as banks",
      ("%d bytes (--bank NAME=FILE for each) instead of %d: %d saved"):format(shared.together_bytes,
      shared.separate_bytes, shared.saved_bytes) }
  end
  return layout.append(lines, layout.facts(rows, laid(how)))
end

--- All tensors of several files, and whether they are equal, as lines of text.
function inspect.shared_tensors_text(shared, how)
  local rows = { { "tensor", "shape", "bytes", "in" } }
  for _, one in ipairs(shared.tensors) do
    rows[#rows + 1] = { one.name, shapes.text(one.shape), tostring(one.bytes), one.shared and "all, equal"
      or "each its own" }
  end
  return tabled(rows, how, { [3] = true })
end

--- The same for machines: arrays marked, null for what there is not.
function inspect.shared_json(shared)
  local array, null = require "msagen.json".array, require "msagen.json".null
  for _, key in ipairs { "obstacle", "together_bytes", "saved_bytes" } do
    if shared[key] == nil then shared[key] = null end
  end
  array(shared.files)
  array(shared.tensors)
  for _, one in ipairs(shared.tensors) do array(one.shape) end
  return shared
end

--- Everything about several open checkpoints: their reports, and what they share.
function inspect.several(ckpts, base, options)
  local reports, models = {}, {}
  for i, ckpt in ipairs(ckpts) do reports[i], models[i] = inspect.report(ckpt, base, options) end
  return reports, banks.compare(models)
end

return inspect
