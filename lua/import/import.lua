-- SPDX-License-Identifier: Apache-2.0
-- From a checkpoint to the model description: dialect, hyper-parameters, tensors under SAM's names, and the fate of
-- every tensor of the file.
--
-- account() looks at names, shapes and dtypes only and decides; load() refuses what that leaves open, then folds and
-- resamples.
-- Which dialects there are: import/dialects/. What the network consists of: import/network.lua.

local fail = require "support.fail"
local bases = require "import.base"
local depths = require "import.depth"
local dialects = require "import.dialects"
local encoders = require "networks.encoders"
local files = require "import.file"
local harmless = require "import.harmless"
local names = require "import.names"
local network = require "import.network"
local preparation = require "import.preparation"
local shapes = require "import.shapes"
local sizes = require "networks.sizes"
local transformers = require "import.transformers"
local trained = require "import.trained"
local warnings = require "import.warnings"
local weights = require "import.weights"

local import = {}

local MAX_SLICES = 65536 -- as in msagen run
local floating = { f32 = true, f64 = true, f16 = true, bf16 = true }

--- The dialect asked for, or all that the names allow.
local function recognise(ckpt, traits, wanted, keys)
  if not traits.network then
    fail("%s: expected tensors named image_encoder., prompt_encoder. and mask_decoder., found %s", ckpt.path,
      keys[1] and ("%d others, the first %s"):format(#keys, names.show(keys[1])) or "no tensor")
  end
  local candidates = dialects.candidates(traits)
  if wanted then
    local dialect = dialects.fitting(dialects.named(wanted, "--dialect"), traits)
    local expected, found = dialects.contradiction(dialect, traits)
    if expected then
      fail("%s: --dialect %s: expected %s, found %s%s", ckpt.path, dialect.name, expected, found,
        #candidates > 0 and (", as in " .. dialects.list(candidates, " or ")) or "")
    end
    return { dialect }
  end
  if #candidates == 0 then
    fail("%s: dialect: expected the marks of one of %s, found a mixture: %s", ckpt.path, dialects.list(dialects.all()),
      dialects.describe(traits))
  end
  return candidates
end

--- Of the dialects that the names allow, those that the shapes allow too: adapters alone have the same names in all
-- dialects.
-- Gives the first, all, and fit(first); where none fits, the first's refusal stands.
local function choose(candidates, fit)
  if #candidates == 1 then return candidates[1], candidates, fit(candidates[1]) end
  local fitting, refusal = {}, nil
  for _, candidate in ipairs(candidates) do
    local ok, problem = pcall(fit, candidate)
    if ok then
      fitting[#fitting + 1] = candidate
    else
      if type(problem) ~= "table" then error(problem, 0) end
      refusal = refusal or problem
    end
  end
  if not fitting[1] then error(refusal, 0) end
  return fitting[1], fitting, fit(fitting[1])
end

--- How often each repeated part occurs in the file.
function import.count(keys, encoder)
  local function at_least_one(n) return math.max(n, 1) end
  local counts = encoders.named(encoder, "network").counts(keys)
  counts.layers = at_least_one(names.count(keys, "mask_decoder.transformer.layers."))
  counts.hypernetworks = at_least_one(names.count(keys, "mask_decoder.output_hypernetworks_mlps."))
  counts.hyper_layers = at_least_one(names.count(keys, "mask_decoder.output_hypernetworks_mlps.0.layers."))
  counts.iou_layers = at_least_one(names.count(keys, "mask_decoder.iou_prediction_head.layers."))
  return counts
end

-- What to do about tensors that are missing.
local function advice(ckpt, base, traits, partial)
  local number, of = ckpt.path:match "%-(%d+)%-of%-(%d+)%.%w+$"
  if number then
    return ("; this looks like file %d of %d: their index, .index.json beside it, stands for all of them"):format(
      tonumber(number), tonumber(of))
  end
  if not partial or base or traits.naming == "transformers" then return "" end
  return "; this looks like an adapter-only file: --base FILE names the backbone that it was trained on"
end

local function refuse_missing(ckpt, base, missing, traits, present, spell)
  local first = missing[1]
  local lacks = false -- the backbone, rather than a tensor or two
  for _, name in ipairs(missing) do
    lacks = lacks or name:match "%.attn%.qkv%.weight$" or name:match "^image_encoder%.patch_embed"
  end
  local partial = lacks and (traits.encoder_adapters or traits.decoder_adapters or traits.lora
    or not present["image_encoder.patch_embed.proj.weight"])
  fail("%s: %s: expected in the file%s, found no such tensor%s%s", ckpt.path, spell(first), base
    and " or in " .. base.path or "",
    #missing > 1 and (" (nor %d other%s)"):format(#missing - 1, #missing > 2 and "s" or "") or "",
    advice(ckpt, base, traits, partial))
end

-- The first of a list of tensors, and how many others there are.
local function first_of(list)
  return names.show(list[1].name) .. (#list > 1 and (" (and %d other%s)"):format(#list - 1, #list > 2 and "s" or "")
    or "")
end

-- A tensor that a part would have to compute with.
local function refuse_inside(unknown, dialect)
  fail("%s: %s: unknown tensor in a part that computes; expected only tensors of %s; --ignore PREFIX builds without it",
    unknown[1].path, first_of(unknown), dialect.name)
end

-- One beside the parts that no list of harmless names has.
local function refuse_beside(unknown)
  fail("%s: %s: expected no tensor beside image_encoder, prompt_encoder and mask_decoder but known harmless ones, "
    .. "found %d that no part computes with; --ignore PREFIX drops what is known to be of no use", unknown[1].path,
    first_of(unknown), #unknown)
end

--- All tensors by SAM's name, the checkpoint's before the base's; and those that both hold.
local function gather(file, base, to_sam)
  local present, both = {}, {}
  for _, one in ipairs(file.list) do
    one.sam = to_sam(one.key)
    if not one.dropped then present[one.sam] = one end
  end
  if base then
    local base_to_sam = names.speller(base.spelling)
    for _, one in ipairs(base.list) do
      one.sam = base_to_sam(one.key)
      local own = present[one.sam]
      one.replaced = nil
      if one.dropped then
        own = one
      elseif own and own.file == "checkpoint" then
        one.replaced = true
        both[#both + 1] = { sam = one.sam, own = own, other = one }
      elseif not own then
        present[one.sam] = one
      end
    end
  end
  return present, both
end

-- Gives each tensor of the files its entry, or says why it has none. @return those that are unknown: inside of the
-- parts that compute, and beside them
local function account(all, entries)
  local inside, beside = {}, {}
  for _, one in ipairs(all) do
    local entry = entries[one.sam]
    one.entry, one.foreign, one.unknown = nil, one.dropped, nil
    if one.dropped then -- file.read says why
    elseif entry and entry.found == one then
      one.entry = entry
    elseif not (entry and one.replaced) then
      one.foreign = harmless.why(one.key)
      one.unknown = not one.foreign
      local list = names.wrapper(one.key) == "" and inside or beside
      if one.unknown then list[#list + 1] = one end
    end
  end
  return inside, beside
end

local function check_shapes(expected, spell)
  for _, entry in ipairs(expected) do
    local found = entry.found
    if found then
      if not floating[found.dtype] then
        fail("%s: %s is %s; expected f32, f64, f16 or bf16", found.path, names.show(found.name), found.dtype)
      end
      local fits, wanted = shapes.fit(entry, found.shape, spell)
      if not fits then
        fail("%s: %s is %s; expected %s", found.path, names.show(found.name), shapes.text(found.shape), wanted)
      end
    end
  end
end

--- Names and shapes of the files against the network. Gives entries by SAM's name and as `expected` in the network's
-- order, `value`s of the variables, the counts, spell() for names as a person knows them, and the pairs of tensors that
-- both files hold.
local function match(file, base, dialect, traits, options)
  local to_sam, to_file = names.speller(dialect.spelling)
  local present, both = gather(file, base, to_sam)
  local function spell(sam_name)
    local one = present[sam_name]
    if one then return names.show(one.name) .. (one.file == "base" and " of " .. one.path or "") end
    return names.show(file.prefix .. to_file(sam_name))
  end

  local keys = {}
  for _, one in ipairs(file.all) do
    if not one.dropped then keys[#keys + 1] = one.sam end
  end
  local counts = import.count(keys, dialect.encoder)
  local expected = network.tensors(options.program or dialect, counts, traits, options, present)

  local missing, entries = {}, {}
  for _, entry in ipairs(expected) do
    entry.found = present[entry.name]
    entries[entry.name] = entry
    if not entry.found and not entry.optional then missing[#missing + 1] = entry.name end
  end

  local inside, beside = account(file.all, entries)
  if #inside > 0 and not expected.truncated then refuse_inside(inside, dialect) end
  if #missing > 0 and #beside > 0 then refuse_beside(beside) end
  if #missing > 0 then refuse_missing(file, base, missing, traits, present, spell) end
  check_shapes(expected, spell)

  local computing = {}
  for _, pair in ipairs(both) do
    if entries[pair.sam] then computing[#computing + 1] = pair end
  end

  local value = {}
  for name, size in pairs(expected.sizes) do value[name] = sizes.value(size) end
  return { entries = entries, value = value, counts = counts, spell = spell, expected = expected, both = computing,
    unknown = beside }
end

local function divides(ckpt, whole, part, what, ...)
  if part < 1 or whole % part ~= 0 then
    fail("%s: " .. what, ckpt.path, ...)
  end
end

--- Widths and counts that the shapes give, and what only an option can.
local function hyper_parameters(ckpt, dialect, value, counts, options, spell)
  local heads = options.decoder_heads or 8
  if math.type(heads) ~= "integer" or heads < 1 then
    fail("--decoder-heads: expected a positive number, found %s", tostring(heads))
  end
  for _, width in ipairs { value.out, value.cross } do
    divides(ckpt, width, heads, "--decoder-heads %d: expected a divisor of the decoder's widths %d and %d", heads,
      value.out, value.cross)
  end
  if counts.hypernetworks ~= value.masks then
    fail("%s: %s is [%d,%d]; expected [%d,%d], one token for each of output_hypernetworks_mlps", ckpt.path,
      spell "mask_decoder.mask_tokens.weight", value.masks, value.out, counts.hypernetworks, value.out)
  end

  local classes = options.classes
  if classes and (math.type(classes) ~= "integer" or classes < 1) then
    fail("--classes: expected a positive number, found %s", tostring(classes))
  end
  if dialect.mask_rule == "first" then
    local least = dialect.least_mask_tokens
    if value.masks < least then
      fail("%s: %s is [%d,%d]; expected at least %d mask tokens in files of %s", ckpt.path,
        spell "mask_decoder.mask_tokens.weight", value.masks, value.out, least, dialect.name)
    end
    classes = classes or (value.masks > least and value.masks or 1)
    if math.max(least, classes) ~= value.masks then
      fail("%s: --classes %d: expected %s, as the file has %d mask tokens, found %d", ckpt.path, classes,
        value.masks > least and tostring(value.masks) or ("1 to %d"):format(least), value.masks, classes)
    end
  else
    if classes and classes > 1 then
      fail("%s: --classes %d: expected 1 or nothing, as files of %s have no classes, found %d", ckpt.path, classes,
        dialect.name, classes)
    end
    classes = nil
    if value.masks < 2 then
      fail("%s: %s is [%d,%d]; expected at least 2 mask tokens", ckpt.path, spell "mask_decoder.mask_tokens.weight",
        value.masks, value.out)
    end
  end

  local clicks = options.click_order or "xy"
  if clicks ~= "xy" and clicks ~= "rc" then fail("--click-order: expected xy or rc, found %s", names.show(clicks)) end
  return heads, classes, clicks
end

--- Depth and the length of the depth branch's runs, checked against what the dialect can do.
local function volume(ckpt, dialect, traits, options)
  local depth, chunk = options.depth, options.chunk
  if math.type(depth) ~= "integer" or depth < 1 then
    fail("--depth: expected a positive number, found %s", tostring(depth))
  end
  if depth > MAX_SLICES then fail("--depth %d: expected at most %d slices, found %d", depth, MAX_SLICES, depth) end
  if depth == 1 then
    if chunk ~= nil then
      fail("--chunk %s: expected a volume, of --depth 2 or more, found a depth of 1", names.show(tostring(chunk)))
    end
    return 1, nil
  end
  if not dialect.volumes or not traits.encoder_adapters then
    fail("%s: --depth %d: expected 1, as %s has no depth branch, found %d", ckpt.path, depth,
      dialect.volumes and "a file without adapters" or "a file of " .. dialect.name, depth)
  end
  if dialect.volumes == "slices" and chunk == "none" then
    fail("%s: --chunk none: expected the depth, %d, as %s runs over all slices, found none", ckpt.path, depth,
      dialect.name)
  end
  if chunk == "none" then return depth, false end
  chunk = chunk or depth
  if math.type(chunk) ~= "integer" or chunk < 1 or depth % chunk ~= 0 then
    fail("--chunk: expected a divisor of the depth %d, or none, found %s", depth, tostring(chunk))
  end
  if dialect.volumes == "slices" and chunk ~= depth then
    fail("%s: --chunk %d: expected the depth, %d, as %s runs over all slices, found %d", ckpt.path, chunk, depth,
      dialect.name, chunk)
  end
  if not depths.grid(chunk) then
    fail("--chunk 1: expected at least 2, as a sequence of one token has no grid, found 1")
  end
  return depth, chunk
end

--- In the order of the files, the base's after the checkpoint's; `file` says whose where there is a base.
local function fates(file, base, entries)
  local list = {}
  for i, one in ipairs(file.all) do
    local fate, why
    if one.unknown then
      fate, why = "unknown", "of no part that computes, and no known harmless name"
    elseif one.foreign then
      fate, why = "dead", one.foreign
    elseif one.replaced then
      fate, why = "dead", "the checkpoint has its own"
    else
      local entry = one.entry
      fate, why = entry.fate, entry.why
      if entry.resize and entry.resize[1] == "bicubic" then
        fate, why = "resampled", ("%dx%d to %dx%d, bicubic"):format(entry.resize[2], entry.resize[2], entry.resize[3],
          entry.resize[3])
      elseif entry.resize then
        fate, why = "resampled", ("%d to %d, linear"):format(entry.resize[2], entry.resize[3])
      elseif entry.name:match("%.weight$") and entries[(entry.name:gsub("weight$", "lora_A"))] then
        why = "with its LoRA pair added"
      elseif entry.zero then
        why = "all zero"
      end
    end
    list[i] = { name = one.name, shape = one.shape, dtype = one.dtype, fate = fate, why = why, file = base and one.file
      or nil }
  end
  return list
end

local function source_of(ckpt, file, base)
  return { path = ckpt.path, format = ckpt.format, container = ckpt.container,
    prefix = file.prefix ~= "" and file.prefix or nil, weights_key = ckpt.set ~= "." and ckpt.set or nil,
    base = base and { path = base.path, format = base.ckpt.format, container = base.ckpt.container,
      prefix = base.prefix ~= "" and base.prefix or nil } or nil }
end

-- The model description of what was found in the files. @param fit what match() gave, and what else was chosen with
-- the dialect
local function described(ckpt, file, base, dialect, traits, fit)
  local value, counts, place = fit.value, fit.counts, fit.place
  place.encoder.kind = dialect.encoder
  local adapters = (traits.encoder_adapters or traits.conv_adapters) and dialect.adapters or "none"
  return {
    source = source_of(ckpt, file, base),
    image_size = place.size, file_size = place.file_grid and place.file_grid * place.patch,
    patch = place.patch, grid = place.grid, file_grid = place.file_grid,
    encoder = place.encoder, out = value.out,
    prompt = { mask_in1 = value.mask_in1, mask_in2 = value.mask_in2 },
    decoder = {
      heads = fit.heads, layers = counts.layers, mlp = value.decoder_mlp, masks = value.masks, cross = value.cross,
      activation = dialect.decoder_activation or "relu",
      iou_layers = counts.iou_layers, iou = value.iou, hyper_layers = counts.hyper_layers, hyper = value.hyper,
      upscaled1 = value.upscaled1, upscaled2 = value.upscaled2,
    },
    places = dialect.places, click_side = dialect.click_side, upscaling_norm = dialect.upscaling_norm,
    upsample = dialect.upsample or "bilinear", zero_inside = dialect.zero_inside or false,
    classes = fit.classes, mask_rule = dialect.mask_rule,
    first_self_attention = dialect.first_self_attention, position_stays = dialect.position_stays,
    adapters = adapters, adapter_activation = adapters ~= "none" and dialect.adapter_activation or nil,
    adapter_scale = 0.5, lora = traits.lora,
    pad = not traits.encoder_adapters and dialect.pad_without_adapters or dialect.pad,
    normalise = preparation.normalisations[dialect.normalise], resampling = dialect.resampling, resize = dialect.resize,
    best_of_several = dialect.best_of_several or false,
    mask_from = dialect.mask_from or "logits", mask_square = dialect.mask_square or false,
    click_order = fit.clicks, training = dialect.training,
    depth = fit.depth, chunk = fit.chunk, volumes = fit.depth > 1 and dialect.volumes or nil,
    choices = place.choices, candidates = {}, entries = fit.expected, parameters = fit.expected.parameters,
  }
end

-- What config.json beside a file tells: options that the user did not give, and the epsilons of the network.
-- @return the options, and the file's fields or nil
local function configured(ckpt, dialect, options)
  local config = dialect.config and transformers.config(ckpt.path)
  if not config then return options, nil end
  local vision, decoder = config.vision_config or {}, config.mask_decoder_config or {}
  local program = { encoder = dialect.encoder, encoder_norm_eps = vision.layer_norm_eps,
    decoder_norm_eps = decoder.layer_norm_eps or dialect.decoder_norm_eps }
  local blocks = vision.global_attn_indexes
  return setmetatable({ program = program, global_blocks = options.global_blocks or blocks,
    decoder_heads = options.decoder_heads or math.tointeger(decoder.num_attention_heads) }, { __index = options }),
    config
end

-- What both the tensors and config.json tell must be the same.
local function confirm(ckpt, config, encoder)
  for field, found in pairs { num_attention_heads = encoder.heads, window_size = encoder.window } do
    local told = config.vision_config and config.vision_config[field]
    if told and found and found ~= 0 and told ~= found then
      fail("%s: vision_config.%s: expected %d, as the tensors of %s tell, found %d", config.path, field, found,
        ckpt.path, told)
    end
  end
end

--- Decide everything that names, shapes and dtypes decide; nothing is computed.
-- options as in load(). Gives the model description without `tensor`, and in it `choices`: what only the user can tell,
-- as {option, values, why}; where the dialect is such a choice, `dialect` is nil and `candidates` lists the names.
-- `entries` is the network's list of tensors (import/network.lua), each with what it was found as.
function import.account(ckpt, options)
  local told = trained.options(ckpt, options)
  options = setmetatable({ depth = told.depth or 1 }, { __index = told })
  local file = files.read(ckpt, "checkpoint", options)
  local base = options.base and files.read(options.base, "base", options)
  if base then base.spelling = bases.spelling(base) end
  local traits = base and bases.traits(file, base) or names.traits(file)
  file.all = table.move(file.list, 1, #file.list, 1, {})
  if base then table.move(base.list, 1, #base.list, #file.all + 1, file.all) end
  local dialect, candidates, fit = choose(recognise(ckpt, traits, options.dialect, file.keys), function(candidate)
    local options, config = configured(ckpt, candidate, options)
    local depth, chunk = volume(ckpt, candidate, traits, options)
    local fit = match(file, base, candidate, traits, options)
    fit.depth, fit.chunk = depth, chunk
    fit.heads, fit.classes, fit.clicks = hyper_parameters(ckpt, candidate, fit.value, fit.counts, options, fit.spell)
    fit.place = encoders.named(candidate.encoder, "network").describe { path = ckpt.path, dialect = candidate,
      traits = traits, entries = fit.entries, value = fit.value, counts = fit.counts, options = options,
      spell = fit.spell }
    if config then confirm(ckpt, config, fit.place.encoder) end
    return fit
  end)
  local entries, place = fit.entries, fit.place
  if base and dialect.config then
    fail("%s: --base: expected none, as files of %s are whole, and SAM's names would mean other tensors; found %s",
      ckpt.path, dialect.name, base.path)
  end
  if base then
    bases.verify(file.path, base, fit.both, dialect.pad_without_adapters and not traits.encoder_adapters
      and not traits.lora)
  end
  local model = described(ckpt, file, base, dialect, traits, fit)
  for i, candidate in ipairs(candidates) do model.candidates[i] = candidate.name end
  if #candidates == 1 then
    model.dialect = dialect.name
  else
    table.insert(model.choices, 1, { option = "--dialect", values = model.candidates, why = "their tensors are alike" })
  end
  if #fit.unknown > 0 then
    model.unknown = fit.unknown
    table.insert(model.choices, { option = "--ignore", values = { "PREFIX" },
      why = ("if %s beside the network %s known to be of no use"):format(first_of(fit.unknown), #fit.unknown > 1
        and "are" or "is") })
  end
  model.preparation = preparation.text(model.image_size, candidates)
  encoders.named(dialect.encoder, "network").adapt(model, entries)
  model.fates = fates(file, base, entries)
  model.warnings = warnings(file, base, dialect, traits, model, entries, candidates, place, told)
  return model, entries
end

local function alternatives(list)
  if #list == 1 then return list[1] end
  return table.concat(list, ", ", 1, #list - 1) .. " or " .. list[#list]
end

--- The model description that the compiler takes. Fails with one line where the file or an option does not fit.
-- options: dialect, classes, decoder_heads, global_blocks (array), resolution, click_order, depth (1), chunk (number or
-- "none"), base (an open checkpoint that supplies what the file lacks: import/base.lua).
function import.load(ckpt, options)
  local model, entries = import.account(ckpt, options)
  if model.unknown then refuse_beside(model.unknown) end
  for _, choice in ipairs(model.choices) do
    fail("%s: %s: expected %s (%s), found none", ckpt.path, choice.option, alternatives(choice.values), choice.why)
  end
  -- Hashes are worked out when they are asked for: an account does without.
  local function hashed(source, file)
    return setmetatable(source, { __index = function(t, key)
      if key == "sha256" then t.sha256 = file:sha256() end
      return rawget(t, key)
    end })
  end
  hashed(model.source, ckpt)
  if options and options.base then hashed(model.source.base, options.base) end
  model.tensor, model.unfolded = weights.make(entries, model)
  model.projection = model.tensor[require("networks.prompt_encoder").text_projection]
  return model
end

return import
