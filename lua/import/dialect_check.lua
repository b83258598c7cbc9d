-- SPDX-License-Identifier: Apache-2.0
--- What a dialect's table must be (lua/import/dialects/, a file each): every field known and of its kind, and the
-- fields in agreement. Refused in one line that names the file, the field, what was expected and what was found.
--   name, source       what --dialect calls it, and the program that it comes from
--   encoder            the image encoder (lua/networks/encoders/)
--   order              place among the dialects, oldest first
--   marks              what the names of a file's tensors may show (import/names.lua): a list of values a mark
--   spelling           { name in the file, SAM's name } where they differ; N stands for any index
--   variant            fields of the program's other network, which the names of a file tell (optional); they stand for
--                      the dialect's
--   adapted            whether files without adapters and LoRA pairs are of it only where it is named
--   config             whether config.json beside the file is read (lua/import/transformers.lua)
--   encoder_norm_eps, decoder_norm_eps  of the layer norms in the encoder's blocks and the decoder's layers, where they
--                      are not SAM's 1e-6 and 1e-5
--   decoder_activation of the decoder's MLPs and perceptrons, where it is not ReLU
--   upscaling_norm     of the up-sampled image: channels (default), each place by itself, or map, all of it together
--   places             how many places a prompt always has, as EfficientSAM's: points, two corners, then invalid points
--                      (optional; SAM's prompts else); click_side: they are multiplied by it over the image's size
--   all_global         whether no block of the encoder has windows; relative: false where blocks have no relative
--                      positions; head_width: of the encoder, where no table tells; table_grid: side that tables of
--                      files without adapters always have
--   class_position     whether pos_embed begins with a class token's, which counts nothing
--   grid_from          what tells the file's resolution: pos_embed, tables of relative positions in global blocks, or
--                      nothing
--   position_grid      side of pos_embed in every file, where the tables tell; default_size: pixels where nothing in
-- the file tells
--   resample           whether another resolution than the file's is possible
--   volumes            how the depth branch takes slices: runs, slices, or false where there is none
--   pad                what fills windows: zero or norm1_bias; pad_without_adapters: in files without adapters, where
-- that differs
--   adapters           none, encoder, paper (encoder and decoder) or convolutional; adapter_activation: theirs, but not
-- of convolutional ones
--   first_self_attention  replace or add;  position_stays: whether positions stay in the decoder's queries
--   best_of_several    whether its program takes the best of masks 1 and up rather than mask 0: what run asks for
--   mask_rule          multimask (mask 0, or the others) or first (the first n classes, of least_mask_tokens or more)
--   resampling, resize, normalise  import/preparation.lua
--   mask_square        whether masks of squashed images are enlarged to the square first
--   mask_from          what is enlarged to the image's size: logits (default) or probabilities
--   upsample           how: bilinear (default) or bicubic; zero_inside: whether a logit of 0 is inside a mask
--   training           clicks: xy or rc; upsampling: none, nearest or bilinear; feedback, whether the
--                      program trained with logits fed back as mask prompts: none (default) or logits; trained: what
--                      it trains, names of sets of lua/train/sets.lua
--   warnings           what nothing in a file tells: texts, or { text =, option = } where
--                      an option answers it and so silences it
local activations = require "graph.activations"
local closed = require "support.closed"
local encoders = require "networks.encoders"
local fail = require "support.fail"
local marks = require "import.marks"
local network = require "import.network"
local preparation = require "import.preparation"
local schema = require "support.schema"
local sets = require "train.sets"

local flag, one_of, list_of, record, text, whole = schema.flag, schema.one_of, schema.list_of, schema.record,
  schema.text, schema.whole

local name = schema.kind(function(value)
  if type(value) ~= "string" or not value:match "^[%w][%w_.-]*$" then return "a name of letters, digits, -, _ and ." end
end)

local function indices(tensor) return select(2, tensor:gsub("%f[^%z.]N%f[%z.]", "")) end

-- A tensor's name with N for each index.
local function general(tensor) return (tensor:gsub("%f[^%z.]%d+%f[%z.]", "N")) end

-- All names that the network may have, indices as N, in order; and the set of them.
local sams_names, sams_set
local function known_names()
  if sams_names then return sams_names, sams_set end
  local present = setmetatable({}, { __index = function() return true end })
  local one = { layers = 1, hypernetworks = 1, hyper_layers = 1, iou_layers = 1 }
  sams_set = {}
  for _, encoder in ipairs(encoders.names) do
    local counts = encoders.named(encoder, "network").counts {}
    for key, value in pairs(one) do counts[key] = value end
    local traits = { encoder_adapters = true, decoder_adapters = true, conv_adapters = true }
    for _, entry in ipairs(network.tensors({ encoder = encoder }, counts, traits, { depth = 2 }, present)) do
      sams_set[general(entry.name)] = true
    end
  end
  sams_names = closed.sorted(sams_set)
  return sams_names, sams_set
end

-- { name in the file, SAM's name }, with as many indices N, each a word between dots.
local spelled = schema.kind(function(value)
  local expected = "{ name in the file, SAM's name }"
  if type(value) ~= "table" or #value ~= 2 then return expected end
  for side = 1, 2 do
    local one = value[side]
    if type(one) ~= "string" or not one:match "^[%w_.-]+$" or one:find "%.%." then return expected,
      schema.shown(one) end
  end
  if next(value, 2) ~= nil then return expected, "other keys" end
  if not (value[2]:find "^image_encoder%." or value[2]:find "^prompt_encoder%." or value[2]:find "^mask_decoder%.") then
    return "a name of SAM's, image_encoder., prompt_encoder. or mask_decoder., on the right", value[2]
  end
  local list, known = known_names()
  if not known[general(value[2])] then
    return "a name of SAM's on the right", value[2] .. closed.hint(general(value[2]), list)
  end
  if indices(value[1]) ~= indices(value[2]) then
    return "as many indices N on both sides", ("%s and %s"):format(value[1], value[2])
  end
end)

-- A warning: a text, or a text and the option that answers it.
local WARNING = { text = { text, true }, option = { one_of("click_order", "dialect") } }
local warning = schema.kind(function(value)
  if type(value) ~= "table" and text(value) then return "a text, or { text =, option = }" end
end)

local function marks_of()
  local fields = {}
  for _, mark in ipairs(marks) do
    fields[mark.name] = { schema.set_of(one_of(table.unpack(mark.values)), 1, "values"), not mark.default or nil }
  end
  return fields
end

local function names_of(set) return table.unpack(closed.sorted(set)) end

local check = {}

check.fields = {
  name = { name, true }, source = { text, true }, order = { whole(1, 1000), true },
  marks = { record(marks_of()), true }, encoder = { one_of(table.unpack(encoders.names)), true },
  spelling = { list_of(spelled, 0, "{ name in the file, SAM's name }"), true },
  config = { flag }, adapted = { flag }, variant = { schema.table }, other = { schema.table },
  encoder_norm_eps = { schema.number }, decoder_norm_eps = { schema.number },
  decoder_activation = { one_of(table.unpack(activations.computed)) }, upscaling_norm = { one_of("channels", "map") },
  places = { whole(2, 1024) }, click_side = { whole(1, 16384) },
  all_global = { flag }, relative = { flag }, class_position = { flag }, head_width = { whole(1, 4096) },
  table_grid = { whole(1, 1024) }, upsample = { one_of("bilinear", "bicubic") }, zero_inside = { flag },
  grid_from = { one_of("pos_embed", "tables", "nothing"), true }, position_grid = { whole(1, 1024) },
  default_size = { whole(1, 16384) }, resample = { flag, true },
  volumes = { one_of(false, "runs", "slices"), true }, pad = { one_of("zero", "norm1_bias"), true },
    pad_without_adapters = { one_of("zero", "norm1_bias") },
  adapters = { one_of("none", "encoder", "paper", "convolutional"), true }, adapter_activation = {
    one_of(table.unpack(activations.computed)) },
  first_self_attention = { one_of("replace", "add"), true }, position_stays = { flag, true },
  best_of_several = { flag },
  mask_rule = { one_of("multimask", "first"), true }, least_mask_tokens = { whole(1, 4096) },
  resampling = { one_of(names_of(preparation.resamplings)), true }, mask_from = { one_of("logits", "probabilities") },
  mask_square = { flag },
  normalise = { one_of(names_of(preparation.normalisations)), true }, resize = { one_of(names_of(preparation.resizes)),
    true },
  training = { record { clicks = { one_of("xy", "rc"), true },
    upsampling = { one_of("none", "nearest", "bilinear", "bicubic"), true },
    feedback = { one_of("none", "logits") },
    trained = { schema.set_of(one_of(table.unpack(sets.names)), 1, "names of sets") } }, true },
  warnings = { list_of(warning, 0, "texts or { text =, option = }"), true },
}

local function contains(list, value)
  for _, one in ipairs(list) do
    if one == value then return true end
  end
  return false
end

-- A field that must be there if, and only if, something else is so.
local function beside(dialect, where, field, wanted, why)
  local found = dialect[field]
  if wanted and found == nil then fail("%s: %s: expected %s beside %s, found none", where,
    field, (check.fields[field][1](nil)), why) end
  if not wanted and found ~= nil then fail("%s: %s: expected it with %s alone, found %s", where, field, why,
    schema.shown(found)) end
end

local function agree(dialect, where)
  local tables, first = dialect.grid_from == "tables", dialect.mask_rule == "first"
  beside(dialect, where, "position_grid", tables and dialect.position_grid ~= nil, "grid_from = tables")
  beside(dialect, where, "head_width", dialect.relative == false, "relative = false")
  for _, field in ipairs { "relative", "class_position", "table_grid" } do
    if not dialect.all_global then beside(dialect, where, field, false, "all_global = true") end
  end
  if not dialect.places then beside(dialect, where, "click_side", false, "places") end
  if dialect.resize == "longest" and dialect.upsample == "bicubic" then
    fail("%s: upsample: expected bilinear, as resize = longest, found bicubic", where)
  end
  if dialect.grid_from ~= "nothing" and not dialect.all_global then
    beside(dialect, where, "default_size", tables, "grid_from = tables")
  end
  beside(dialect, where, "least_mask_tokens", first, "mask_rule = first")
  local of_maps = dialect.adapters == "encoder" or dialect.adapters == "paper"
  beside(dialect, where, "adapter_activation", of_maps, "adapters = encoder or paper")
  local function marked(mark, wanted, why)
    if contains(dialect.marks[mark] or {}, true) ~= wanted then
      fail("%s: marks: %s: expected %s, as adapters = %s, found %s", where, mark, wanted and "true among them"
        or "false alone", why, wanted and "false alone" or "true")
    end
  end
  marked("encoder_adapters", of_maps, dialect.adapters)
  marked("conv_adapters", dialect.adapters == "convolutional", dialect.adapters)
  marked("decoder_adapters", dialect.adapters == "paper", dialect.adapters)
  if dialect.volumes and dialect.adapters == "none" then
    fail("%s: volumes: expected false, as adapters = none, found %s", where, dialect.volumes)
  end
  if dialect.pad_without_adapters and not contains(dialect.marks.encoder_adapters, false) then
    fail("%s: pad_without_adapters: expected it where marks allow files without encoder_adapters, found %s", where,
      dialect.pad_without_adapters)
  end
  local seen = {}
  for i, pair in ipairs(dialect.spelling) do
    for side = 1, 2 do
      local key = side .. pair[side]
      if seen[key] then fail("%s: spelling: number %d: expected each name once, found %s twice", where, i,
        pair[side]) end
      seen[key] = true
    end
  end
end

--- Refuse a dialect's table that is none. @param where what messages begin with: its file  @param stem what the file is
-- called, without .lua
function check.dialect(dialect, where, stem)
  if type(dialect) ~= "table" then
    fail("%s: expected a file that returns a table, found %s", where, dialect == nil and "nothing" or type(dialect))
  end
  schema.check(dialect, check.fields, where)
  for i, one in ipairs(dialect.warnings) do
    if type(one) == "table" then schema.check(one, WARNING, ("%s: warnings: number %d"):format(where, i)) end
  end
  if stem and dialect.name ~= stem then fail("%s: name: expected %s, as the file is called, found %s", where, stem,
    dialect.name) end
  agree(dialect, where)
end

return check
