-- SPDX-License-Identifier: Apache-2.0
--- A case of pre-training with known results (lua/train/case.lua): what the objective chooses at random is in its
-- files.

local case = require "train.case"
local fail = require "support.fail"
local import = require "import.import"
local mixtures = require "train.mixtures"
local npy = require "msagen.npy"
local objectives = require "train.objectives"
local schema = require "support.schema"
local shards = require "import.shards"
local starts = require "train.starts"

local pretrain_case = {}

local whole = schema.whole

-- Of case.json what case.fields do not have.
local FIELDS = { method = { schema.text, true }, patch = { whole(1, 1024), true }, depth = { whole(1, 1024), true },
  dim = { whole(1, 65536), true }, heads = { whole(1, 65536), true }, window = { whole(0, 1024), true },
  global = { schema.list_of(whole(0, 1024), 0, "numbers of blocks"), true }, mask_ratio = { schema.number },
  rate = { schema.number }, temperature = { schema.number }, emix_dim = { whole(1, 65536) },
  mae_dim = { whole(1, 65536) }, mae_heads = { whole(1, 65536) }, mae_depth = { whole(1, 1024) } }

-- Sizes as objectives have them, by the case's names.
local SIZES = { mask_ratio = "ratio", rate = "rate", temperature = "temperature", emix_dim = "dim", mae_dim = "dim",
  mae_heads = "heads", mae_depth = "depth" }

local function sizes_of(one)
  local sizes = {}
  for field, name in pairs(SIZES) do sizes[name] = one[field] or sizes[name] end
  return sizes
end

-- The network: the encoder is the file's, what it has no use for numbers that no result depends on.
local function network_of(one, file)
  local shape = { resolution = one.image_size, dim = one.dim, blocks = one.depth, heads = one.heads,
    global = one.global, patch = one.patch, window = one.window, encoder = "vit" }
  return import.load(starts.checkpoint(shape, one.dialect, 0, file.path, file), { dialect = one.dialect,
    resolution = one.image_size })
end

-- Rows of a matrix as lists.
local function rows_of(one, name)
  local t = npy.read(("%s/%s"):format(one.folder, name))
  if #t.shape ~= 2 or t.shape[1] ~= one.batch then fail("%s: %s: expected a row a picture", one.file, name) end
  local all, list = t:totable(), {}
  for i = 1, one.batch do
    list[i] = {}
    for k = 1, t.shape[2] do list[i][k] = math.tointeger(all[(i - 1) * t.shape[2] + k]) end
  end
  return list
end

-- What each picture's pass is given.
local function chosen_of(one, objective, places)
  local list = {}
  if objective.loss == "reconstruction" then
    for i, row in ipairs(rows_of(one, "mask.npy")) do
      for k, value in ipairs(row) do row[k] = value ~= 0 end
      list[i] = objective.chosen(row)
    end
  else
    for i, cycle in ipairs(rows_of(one, "indices.npy")) do
      local from, moved = {}, {}
      for place = 1, places do from[place], moved[place] = place - 1, false end
      for k, place in ipairs(cycle) do from[place + 1], moved[place + 1] = cycle[k > 1 and k - 1 or #cycle], true end
      list[i] = objective.chosen(from, moved)
    end
  end
  return list
end

local function mixing_of(one)
  local shares, partners = npy.read(one.folder .. "/coeff.npy"):totable(), npy.read(one.folder .. "/perm.npy"):totable()
  for i, partner in ipairs(partners) do partners[i] = math.tointeger(partner) end
  return { shares = shares, partners = partners }
end

-- The shares that the loss has: of the variant the mean for all.
local function shares_of(mixing, variant)
  if variant ~= "broadcast" then return mixing.shares end
  local sum, list = 0.0, {}
  for _, share in ipairs(mixing.shares) do sum = sum + share end
  for i in ipairs(mixing.shares) do list[i] = sum / #mixing.shares end
  return list
end

-- function() -> the loss; the gradients are in the trainer.
local function gradients_of(one, objective, trainer, variant)
  local at = case.pictures(one)
  if objective.pairs then
    local mixing = mixing_of(one)
    local shares = shares_of(mixing, variant)
    return function()
      local loss, gradients = mixtures.loss(trainer.class, mixtures.features(trainer, at, 1, one.batch, mixing), shares,
        mixing, trainer.sizes)
      for i = 1, one.batch do mixtures.back(trainer, at, i, mixing, gradients[i]) end
      return loss
    end
  end
  local chosen = chosen_of(one, objective, (one.image_size // one.patch) ^ 2)
  return function()
    local sum = 0.0
    for i, of in ipairs(chosen) do
      trainer:pass(at(i), of)
      sum = sum + trainer:backward({ marked = of.marked }).loss
      trainer:image_end()
    end
    return sum / one.batch
  end
end

--- As case.kinds has it. @param make function(model, nil, { objective, sizes, head }) -> a trainer
-- (lua/train/passes.lua)
function pretrain_case.run(one, make, options)
  schema.check_known(one, FIELDS, one.file)
  local objective = objectives.named(one.method, one.file .. ": method")
  local file, flat = shards.open(one.folder .. "/checkpoint.pth"), {}
  local trainer = make(network_of(one, file), nil, { objective = one.method, sizes = sizes_of(one),
    head = function(name) return file:tensor(name) end, batch = (objective.pairs and 2 or 1) * one.batch })
  for i, entry in ipairs(one.tensors) do flat[i] = entry.name end
  return case.steps(one, flat, { trainer = trainer, images = one.batch,
    gradients = gradients_of(one, objective, trainer, options.variant) }, options)
end

case.kinds["pre-training step"] = pretrain_case.run

return pretrain_case
