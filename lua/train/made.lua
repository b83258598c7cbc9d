-- SPDX-License-Identifier: Apache-2.0
--- Where training begins: a file of a network without adapters as if it had those of a dialect, tensors that it lacks
-- made of random numbers. A file that has them is what it is, but for what is asked to be made anew.

local closed = require "support.closed"
local dialects = require "import.dialects"
local fail = require "support.fail"
local files = require "import.file"
local import = require "import.import"
local names = require "import.names"
local network = require "import.network"
local random = require "msagen.random"
local sets = require "train.sets"
local sha256 = require "msagen.sha256"
local shapes = require "import.shapes"
local sizes = require "networks.sizes"
local tensor = require "msagen.tensor"
local texts = require "train.texts"

local made = {}

local TEXT = require("networks.prompt_encoder").text_projection

--- How adapters begin: as the programs that train them have it, or giving nothing.
made.inits = { "program", "identity" }

-- ---- numbers ----

-- The key of a tensor's numbers: SAM's name in it as the first 64 bits of its hash.
local function key_of(seed, name)
  return random.key(seed, math.tointeger(tonumber("0x" .. sha256.hex(name):sub(1, 16))))
end

local function product(shape, from)
  local n = 1
  for i = from, #shape do n = n * shape[i] end
  return n
end

-- How many inputs a map's weight has.
local function inputs_of(shape) return product(shape, 2) end

-- One value for all.
local function filled(shape, value)
  local zeros = tensor.zeros(shape)
  if value == 0 then return zeros end
  return random.uniform(0, shape, value, value)
end

-- Rows of a table, which PyTorch begins as normal numbers.
local function is_table(name) return name:find "_tokens?%.weight$" ~= nil or name:find "_embed.*%.weight$" ~= nil end

-- Positions that are added, which SAM's program begins at 0.
local function is_position(name) return name:find "%.pos_embed$" ~= nil or name:find "%.rel_pos_[hw]$" ~= nil end

-- Weights of one dimension are a normalisation's, and a bias beside them.
local function is_norm(name, shape_of)
  local of_weight = shape_of((name:gsub("%.bias$", ".weight")))
  return of_weight ~= nil and #of_weight == 1
end

--- The values of a tensor that is made: of maps as PyTorch begins them, uniform up to 1 / sqrt(inputs).
-- @param shape_of function(name) -> shape, of a bias' weight
-- @param init of made.inits
local function values(name, shape, shape_of, init, seed)
  local identity = init == "identity"
  if name:find "%.lora_B$" or is_position(name) then return filled(shape, 0) end
  if name:find "%.norm%.%l+$" then return filled(shape, name:find "weight$" and not identity and 1 or 0) end
  if identity and name:find "%.D_fc2%.%l+$" then return filled(shape, 0) end
  if is_norm(name, shape_of) then return filled(shape, name:find "weight$" and 1 or 0) end
  if is_table(name) then return random.normals(key_of(seed, name), shape, 1) end
  local weight = name:gsub("%.bias$", ".weight")
  local bound = 1 / math.sqrt(inputs_of(shape_of(weight)))
  return random.uniform(key_of(seed, name), shape, -bound, bound)
end

-- ---- which tensors ----

local function may_be_made(name) return name:find "Adapter%." ~= nil or name:find "%.lora_[AB]$" ~= nil end

-- Numbers of a declared shape: what the file's tensors do not tell is an adapter's inner width, a quarter of the other
-- one, or the rank.
local function numbers_of(entry, rank)
  local shape, widest = {}, 0
  for _, size in ipairs(entry.shape) do widest = math.max(widest, sizes.value(size) or 0) end
  for i, size in ipairs(entry.shape) do
    local unknown = type(size) == "table" and size.unknown
    if unknown and not unknown.size then
      unknown.size, unknown.from = unknown.name == "rank" and rank or math.max(1, widest // 4), entry.name
    end
    shape[i] = sizes.value(size)
  end
  return shape
end

-- The network of a dialect as the file's own parts are counted. @param present the file's tensors by SAM's names
local function declared(file, dialect, options, present)
  local keys = closed.sorted(present)
  local with = setmetatable({}, { __index = function(_, name)
    return present[name] or options.lora and name:find "%.lora_[AB]$" ~= nil or nil
  end })
  local traits = { encoder_adapters = not options.lora and dialect.adapters ~= "none"
      and dialect.adapters ~= "convolutional", conv_adapters = dialect.adapters == "convolutional",
    decoder_adapters = dialect.adapters == "paper" }
  local list = network.tensors(dialect, import.count(keys, dialect.encoder), traits, { depth = options.depth or 1 },
    with)
  if list.truncated then fail("%s: expected the tensors of a network as %s has it, found too few", file.path,
    dialect.name) end
  return list
end

-- Names and tensors that the file lacks. Refuses what no adapter is.
local function lacking(file, dialect, options, present)
  local shape_of, order = {}, {}
  for _, entry in ipairs(declared(file, dialect, options, present)) do
    local one = present[entry.name]
    if one then
      local fits, expected = shapes.fit(entry, one.shape, function(name) return name end)
      if not fits then
        fail("%s: %s is %s; expected %s", file.path, names.show(one.name), shapes.text(one.shape), expected)
      end
    elseif entry.fate ~= "dead" and not entry.optional then
      if not may_be_made(entry.name) then
        fail("%s: %s: expected in the file, as training of %s begins with it, found no such tensor", file.path,
          entry.name, dialect.name)
      end
      order[#order + 1] = entry
    end
  end
  for _, entry in ipairs(order) do
    if #entry.shape > 1 then shape_of[entry.name] = numbers_of(entry, options.lora) end
  end
  for _, entry in ipairs(order) do shape_of[entry.name] = shape_of[entry.name] or numbers_of(entry, options.lora) end
  return order, shape_of
end

-- ---- a file as if it had them ----

local Completed = {}

function Completed:names() return table.move(self.order, 1, #self.order, 1, {}) end

function Completed:has(name) return self.of[name] ~= nil end

function Completed:tensor(name)
  local one = self.of[name]
  if not one then fail("%s: holds no tensor %s", self.path, name) end
  return one
end

function Completed:sha256() return self.file:sha256() end

-- Another checkpoint of the same file, without tensors.
local function beside(ckpt)
  return setmetatable({ path = ckpt.path, format = ckpt.format, container = ckpt.container, set = ckpt.set,
    metadata = ckpt.metadata, file = ckpt, order = {}, of = {} }, { __index = function(_, key)
      return Completed[key] or function(_, ...) return ckpt[key](ckpt, ...) end
    end })
end

local function check_lora(file, dialect, rank)
  local allowed = false
  for _, value in ipairs(dialect.marks.lora) do allowed = allowed or value end
  if not allowed then
    local list = {}
    for _, one in ipairs(dialects.all()) do
      for _, value in ipairs(one.marks.lora) do
        if value then list[#list + 1] = one.name end
      end
    end
    fail("--lora: expected with --dialect %s, found %s, which has no LoRA pairs", closed.list(list), dialect.name)
  end
  if math.type(rank) ~= "integer" or rank < 1 or rank > 4096 then
    fail("--lora: expected a rank from 1 to 4096, found %s", tostring(rank))
  end
  return file
end

-- The file as it is, where its own tensors are the dialect's: it has adapters or LoRA pairs, or the dialect has none.
local function as_it_is(ckpt, traits, dialect, options)
  local adapted = traits.encoder_adapters or traits.decoder_adapters or traits.conv_adapters
  if options.lora and (adapted or traits.lora) then
    fail("%s: --lora %s: expected a file without adapters and LoRA pairs, found %s", ckpt.path, tostring(options.lora),
      traits.lora and "LoRA pairs" or "adapters")
  end
  return adapted or traits.lora or not options.lora and dialect.adapters == "none"
end

--- A checkpoint (import/shards.lua) in which a dialect's adapters or LoRA pairs are there: made where the file lacks
-- them. Names are the dialect's.
-- @param ckpt an open checkpoint of a network, of whatever dialect the dialect's encoder fits
-- @param options dialect, lora: a rank, or nil; init of made.inits (nil: program); seed (0); depth (1); ignore,
-- weights_key
-- @return the checkpoint, and the names of what was made
function made.completed(ckpt, options)
  local dialect = dialects.named(options.dialect, "--dialect")
  local init = closed.member(options.init or "program", made.inits, "--init")
  if options.lora then check_lora(ckpt, dialect, options.lora) end
  local file = files.read(ckpt, "checkpoint", options)
  local traits = names.traits(file)
  if not traits.network then
    fail("%s: expected tensors named image_encoder., prompt_encoder. and mask_decoder., found none", ckpt.path)
  end
  if as_it_is(ckpt, traits, dialect, options) then return ckpt, {} end
  local own = dialects.candidates(traits)[1]
  if not own then
    fail("%s: dialect: expected the marks of one of %s, found a mixture: %s", ckpt.path, dialects.list(dialects.all()),
      dialects.describe(traits))
  end
  if own.encoder ~= dialect.encoder or (own.places or 0) ~= (dialect.places or 0) then
    fail("%s: --dialect %s: expected a file with the same encoder and prompts, found one of %s", ckpt.path,
      dialect.name, own.name)
  end
  local present, to_sam = {}, names.speller(own.spelling)
  for _, one in ipairs(file.list) do
    if not one.dropped then present[to_sam(one.key)] = one end
  end
  local order, shape_of = lacking(ckpt, dialect, options, present)
  local whole = beside(ckpt)
  local _, to_file = names.speller(dialect.spelling)
  local function put(sam_name, value)
    local name = to_file(sam_name)
    whole.order[#whole.order + 1], whole.of[name] = name, value:rename(name)
    return name
  end
  for _, one in ipairs(file.list) do
    if not one.dropped then put(to_sam(one.key), one.tensor) end
  end
  local list = {}
  for i, entry in ipairs(order) do
    list[i] = put(entry.name, values(entry.name, shape_of[entry.name], function(name) return shape_of[name] end, init,
      options.seed or 0))
  end
  return whole, list
end

-- The checkpoint with a projection of texts' embeddings, whose name it has.
local function with_projection(ckpt, model, options)
  local name = (model.source.prefix or "") .. TEXT
  local whole = beside(ckpt)
  for i, one in ipairs(ckpt:names()) do whole.order[i], whole.of[one] = one, ckpt:tensor(one) end
  whole.order[#whole.order + 1] = name
  whole.of[name] = texts.projection(options.seed or 0, model.out, options.text):rename(name)
  return whole, name
end

-- Refuse embeddings of texts that a model cannot take.
local function check_text(ckpt, model, width)
  if model.places then
    fail("%s: text prompts: expected a network with SAM's prompts, found one of %s", ckpt.path, model.dialect)
  end
  local have = model.projection and model.projection.shape[2]
  if have and have ~= width then
    fail("%s: text prompts: expected embeddings of %d numbers, as its %s has, found %d", ckpt.path, have, TEXT, width)
  end
end

-- A hash of the tensors of a model that are as the file has them, by SAM's names in order.
local function hash_of(entries, wanted)
  local h = sha256.new()
  for _, name in ipairs(closed.sorted(entries)) do
    local found = entries[name].found
    if found and not wanted[name] then
      local t = found.tensor
      h:update(("%s %s %s %s\n"):format(name, t.dtype, table.concat(t.shape, "x"), sha256.hex(t:tobytes())))
    end
  end
  return h:hex()
end

-- A checkpoint in which named tensors are others. What it was before does not count: its hash is of the rest.
-- @param of the file's name -> tensor  @param hash function() -> hash of the rest
local function replaced(ckpt, of, hash)
  local whole = { sha256 = hash }
  function whole:tensor(name) return of[name] or ckpt:tensor(name) end
  return setmetatable(whole, { __index = function(_, key)
    local value = ckpt[key]
    if type(value) ~= "function" then return value end
    return function(_, ...) return value(ckpt, ...) end
  end })
end

-- Begin tensors of a model again. @return the checkpoint that has them, SAM's names of them
local function anew(ckpt, model, options)
  local list, wanted = sets.of(model, options.anew, "--anew")
  local entries, of = {}, {}
  for _, entry in ipairs(model.entries) do entries[entry.name] = entry end
  local function shape_of(name) return entries[name] and entries[name].found and entries[name].found.shape end
  for _, name in ipairs(list) do
    local found = entries[name].found
    of[found.name] = values(name, found.shape, shape_of, options.init, options.seed or 0):rename(found.name)
  end
  return replaced(ckpt, of, function() return hash_of(entries, wanted) end), list
end

local function without(options, ...)
  local left = {}
  for key, value in pairs(options) do left[key] = value end
  for _, key in ipairs { ... } do left[key] = nil end
  return left
end

--- The description of a model that is to be trained (import.load), of a file that may lack what trains.
-- @param ckpt an open checkpoint
-- @param options as in completed, and import.load's; anew: what begins as random numbers and not as the file has it, as
-- in sets.of, or nil: nothing; text: numbers of texts' embeddings, where it is to be trained with texts: then a
-- projection of them is made where the file lacks it
-- @return the description, SAM's names of what was made, and the checkpoint that it is of
function made.model(ckpt, options)
  local whole, list, left = ckpt, {}, without(options, "anew")
  if options.dialect then
    whole, list = made.completed(ckpt, options)
    local to_sam = names.speller(dialects.named(options.dialect, "--dialect").spelling)
    for i, name in ipairs(list) do list[i] = to_sam(name) end
  end
  if whole ~= ckpt then left = without(left, "ignore", "weights_key") end -- names have no prefix, and none is left out
  local model = import.load(whole, left)
  if options.anew then
    local others
    whole, others = anew(whole, model, options)
    model = import.load(whole, left)
    table.move(others, 1, #others, #list + 1, list)
  end
  if not options.text then return model, list, whole end
  check_text(ckpt, model, options.text)
  if not model.projection then
    whole, list[#list + 1] = with_projection(whole, model, options)
    model = import.load(whole, left)
  end
  return model, list, whole
end

return made
