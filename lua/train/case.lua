-- SPDX-License-Identifier: Apache-2.0
--- A case of training with known results: a folder with case.json, a checkpoint, pictures and targets, as
-- tests/golden-train/README.md describes them. The same batch is taken for so many steps; what came of it is written as
-- the case has it.

local closed = require "support.closed"
local dialects = require "import.dialects"
local fail = require "support.fail"
local json = require "msagen.json"
local kinds = require "graph.kinds"
local names = require "import.names"
local npy = require "msagen.npy"
local schema = require "support.schema"
local sha256 = require "msagen.sha256"
local shapes = require "import.shapes"
local shards = require "import.shards"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

local case = {}

--- Steps of a case, and those after which it has what parameters have changed by.
case.STEPS = 10
case.DELTAS = { 1, 2, 10 }

local list_of, one_of, record, text, whole = schema.list_of, schema.one_of, schema.record, schema.text, schema.whole

local named = record { name = { text, true }, shape = { list_of(whole(1, 1 << 31), 1, "sizes"), true } }

-- Of case.json, what is read here.
local FIELDS = { case = { one_of("training step", "pre-training step"), true }, dialect = { text, true },
  image_size = { whole(1, 16384), true }, batch = { whole(1, 65536), true }, slices = { whole(1, 65536) },
  multimask = { whole(1, 4096) }, loss = { one_of("bce", "dicece", "sam") }, pos_weight = { schema.number },
  tensors = { list_of(named, 1, "tensors"), true }, prompts = { schema.table },
  optimiser = { record { name = { one_of("Adam", "AdamW"), true }, lr = { schema.number, true },
    betas = { list_of(schema.number, 2, "numbers"), true }, eps = { schema.number, true },
    weight_decay = { schema.number, true } }, true },
  trainable_with_zero_gradient = { list_of(text, 0) }, trainable_without_gradient = { list_of(text, 0) } }

--- Read a folder. @return its case.json, with `folder` and `file`
function case.read(folder)
  local file = folder .. "/case.json"
  local one = json.decode(sys.read_file(file), file)
  if type(one) ~= "table" then fail("%s: expected an object, found another value", file) end
  schema.check_known(one, FIELDS, file)
  one.folder, one.file = folder, file
  return one
end

-- ---- what a case says ----

--- Readings of a case that it may have beside its own: what they change. "shared_clicks": the clicks of all pictures
-- are one prompt that each sees; "dice_bce": the Dice loss has plain cross-entropy beside it; "broadcast": e-Mix
-- weighs the losses of all pictures by their mean share.
case.variants = { "broadcast", "dice_bce", "shared_clicks" }

local function device_of(one)
  local device = { dialect = one.dialect, resolution = one.image_size }
  if (one.multimask or 1) > 1 then device.classes = one.multimask end
  if (one.slices or 1) > 1 then
    device.depth, device.chunk = one.slices, one.chunk == json.null and "none" or one.chunk
  end
  return device
end

-- SAM's names of the tensors that a case trains, in the order of its file; and those of its flat arrays.
local function trained(one, model)
  local dialect = dialects.named(one.dialect, one.file .. ": dialect")
  local to_sam, known, flat = names.speller(dialect.spelling), {}, {}
  for _, entry in ipairs(model.entries) do known[entry.name] = entry.found ~= nil end
  local function take(name, where)
    local sam_name = to_sam(name)
    if not known[sam_name] then
      fail("%s: %s: expected tensors of checkpoint.pth, found %s", one.file, where, names.show(name))
    end
    return sam_name
  end
  local set = {}
  for i, entry in ipairs(one.tensors) do
    flat[i] = take(entry.name, "tensors")
    set[flat[i]] = true
  end
  for _, where in ipairs { "trainable_with_zero_gradient", "trainable_without_gradient" } do
    for _, name in ipairs(one[where] or {}) do set[take(name, where)] = true end
  end
  local list = {}
  for _, entry in ipairs(model.entries) do
    if set[entry.name] then list[#list + 1] = entry.name end
  end
  return list, flat
end

local function rule_of(one, variant)
  if one.loss == "bce" then return { kind = "bce", pos_weight = one.pos_weight or 1 } end
  if one.loss == "dicece" then
    return { kind = "dicece", cross_entropy = variant == "dice_bce" and "binary" or "none" }
  end
  if one.loss == "sam" then return { kind = "sam", focal = 20, dice = 1, iou = 1 } end
  fail("%s: loss: expected bce, dicece or sam, found none", one.file)
end

local OPTIMISERS = { Adam = "adam", AdamW = "adamw" }

local function optimiser_of(one)
  local o = one.optimiser
  local matrices = o.weight_decay_on == "tensors of two or more dimensions"
  return { kind = OPTIMISERS[o.name], lr = o.lr, betas = { o.betas[1], o.betas[2] }, eps = o.eps,
    decay = o.weight_decay, decay_on = matrices and "matrices" or "all" }
end

-- ---- the batch ----

-- A file of the case whose first dimension is the batch's pictures, of a volume its slices.
local function array(one, name, dims)
  local path = ("%s/%s"):format(one.folder, name)
  local t = npy.read(path)
  if #t.shape ~= dims or t.shape[1] ~= one.batch then
    fail("%s: expected %d dimensions, %d first, found %s", path, dims, one.batch, shapes.text(t.shape))
  end
  return t, path
end

local function pictures_of(one)
  local t, path = array(one, "image.npy", 4)
  local wanted = shapes.text { one.batch, one.image_size, one.image_size, 3 }
  if t.dtype ~= "u8" or shapes.text(t.shape) ~= wanted then
    fail("%s: expected u8 %s, found %s %s", path, wanted, t.dtype, shapes.text(t.shape))
  end
  return t
end

local function without_first(t)
  local shape = table.move(t.shape, 2, #t.shape, 1, {})
  return t:reshape(shape)
end

--- Pictures of a case, u8 [S,S,3]. @return function(i from 1) -> picture
function case.pictures(one)
  local images = pictures_of(one)
  return function(i) return without_first(images:slice(1, i - 1, 1)) end
end

-- Points of picture or slice i, from 0.
local function points_of(prompt, i, what)
  local function member(list) return type(list) == "table" and type(list[i + 1]) == "table" and list[i + 1] end
  local places, labels, list = member(prompt.points), member(prompt.labels), {}
  local good = places and labels and #places == #labels
  for k = 1, good and #places or 0 do
    local place, label = places[k], math.tointeger(labels[k])
    good = good and label and type(place) == "table" and math.type(place[1]) and math.type(place[2])
    list[k] = good and { place[1], place[2], label }
  end
  if not good then fail("%s: expected points { x, y } and as many labels of picture %d, found others", what, i) end
  return list
end

local function prompt_of(one, variant, k, i, masks)
  local what = ("%s: prompt %d"):format(one.file, k - 1)
  local prompt, points = one.prompts[k], nil
  if variant == "shared_clicks" then
    points = {}
    for j = 0, one.batch - 1 do
      for _, point in ipairs(points_of(prompt, j, what)) do points[#points + 1] = point end
    end
  else points = points_of(prompt, i, what)
  end
  return { points = points, multimask = prompt.multimask or false,
    mask = masks and without_first(without_first(masks:slice(1, i, 1))) or nil }
end

-- The pictures of a batch: of each { picture, prompts: in order, each { prompt, target, weight } }.
local function batch_of(one, variant)
  local images, targets, list = pictures_of(one), array(one, "target.npy", 4), {}
  if type(one.prompts) ~= "table" or #one.prompts == 0 then
    fail("%s: prompts: expected one or more, found none", one.file)
  end
  local depth = one.slices or 1
  if one.batch % depth ~= 0 then fail("%s: batch: expected volumes of %d slices, found %d", one.file, depth,
    one.batch) end
  for volume = 0, one.batch // depth - 1 do
    local prompts = {}
    for k, prompt in ipairs(one.prompts) do
      local masks = prompt.mask and array(one, ("prompt_%d.mask_input.npy"):format(k - 1), 4)
      for slice = 0, depth - 1 do
        local i = volume * depth + slice
        local made = prompt_of(one, variant, k, i, masks)
        made.slice = slice
        prompts[#prompts + 1] = { prompt = made, target = without_first(targets:slice(1, i, 1)), weight = 1 / depth }
      end
    end
    list[volume + 1] = { picture = images:slice(1, volume * depth, depth), prompts = prompts }
  end
  return list
end

-- ---- steps ----

-- Gradients of a batch, in the trainer. @return the loss, a mean over pictures
local function gradients(trainer, batch, rule)
  local sum = 0
  for _, one in ipairs(batch) do
    trainer:encode(one.picture)
    for _, use in ipairs(one.prompts) do
      trainer:decode(use.prompt)
      local found = trainer:backward { target = use.target, loss = rule, weight = use.weight }
      sum = sum + found.loss * use.weight
    end
    trainer:image_end()
  end
  return sum / #batch
end

-- The side of the largest target.
local function side_of(batch)
  local side = 1
  for _, one in ipairs(batch) do
    for _, use in ipairs(one.prompts) do side = math.max(side, use.target.shape[#use.target.shape]) end
  end
  return side
end

-- A trainer's flat values in the order of the case, times a number.
local function in_order(trainer, flat, of, minus, times)
  local at, out = {}, {}
  for _, one in ipairs(trainer.parameters) do at[one.name] = one end
  local values, before = of:totable(), minus and minus:totable()
  for _, name in ipairs(flat) do
    local one = at[name]
    if not one then fail("%s: expected a tensor with a gradient, found none", name) end
    for j = one.offset + 1, one.offset + kinds.product(one.shape) do
      out[#out + 1] = before and values[j] - before[j] or values[j] * (times or 1)
    end
  end
  return tensor.in_double(tensor.from, out, { #out })
end

--- What a case measures: steps of a trainer on the same batch, and what is written of them.
-- @param one the case @param flat names in the order of its arrays @param work { trainer, images: of the batch,
-- gradients = function() -> the loss, gradients of the batch being in the trainer }
-- @return the digest: SHA-256 of the trained tensors after the last step, as little-endian floats
function case.steps(one, flat, work, options)
  local trainer, losses, optimiser = work.trainer, {}, optimiser_of(one)
  local began, steps = trainer:values "parameters", options.variant and 0 or options.steps or case.STEPS
  optimiser.images = work.images
  local function write(name, value) npy.write(("%s/%s.npy"):format(options.out, name), value) end
  sys.mkdir_p(options.out)
  for step = 0, steps do
    trainer:set("gradient", nil)
    losses[step + 1] = work.gradients()
    if step == 0 then write("grad", in_order(trainer, flat, trainer:values "gradient", nil, 1 / work.images)) end
    if step < steps then
      trainer:update(optimiser)
      for _, k in ipairs(case.DELTAS) do
        if k == step + 1 then
          write(("delta_%d"):format(k), in_order(trainer, flat, trainer:values "parameters", began))
        end
      end
    end
    if options.progress then options.progress(step, steps) end
  end
  write("loss", tensor.in_double(tensor.from, losses, { #losses }))
  return sha256.hex(trainer:values("parameters"):tobytes())
end

--- Train as a case says. @param make function(model, names of what trains, { scores = does the loss use predicted
-- ones, batch = pictures of a step, target_side = pixels }) -> a trainer (lua/train/interpreted.lua)
-- @param options out: a folder; variant of case.variants: another reading, of which there is one step's gradient alone;
-- progress: function(done, of)
local function train(one, make, options)
  local model = require("import.import").load(shards.open(one.folder .. "/checkpoint.pth"), device_of(one))
  local list, flat = trained(one, model)
  local batch, rule = batch_of(one, options.variant), rule_of(one, options.variant)
  local trainer = make(model, list, { scores = one.loss == "sam", batch = #batch, target_side = side_of(batch) })
  return case.steps(one, flat, { trainer = trainer, images = #batch, gradients = function()
    return gradients(trainer, batch, rule)
  end }, options)
end

--- What to do with a case, by what it is one of: function(case, make, options). lua/train/pretrain_case.lua adds its
-- own.
case.kinds = { ["training step"] = train }

--- Run the case of a folder. @return the digest, as train
function case.run(folder, make, options)
  local one = case.read(folder)
  if options.variant then closed.member(options.variant, case.variants, "--variant") end
  local run = case.kinds[one.case]
  if not run then
    fail("%s: case: expected %s, found %s", one.file, closed.list(closed.sorted(case.kinds)), one.case)
  end
  return run(one, make, options)
end

-- Who computes, of a step of training and of one of pre-training.
local GENERATED = { training = "train.generated", pretraining = "train.generated_passes" }
local INTERPRETED = { training = "train.interpreted", pretraining = "train.passes" }

--- The same by generated code of a board, or by the interpreter. @param about board: nil for the best one; cores;
-- interpret: the class of arithmetic, or float64, in which the interpreter computes it, or nil
function case.trained(folder, about, options)
  local trainer
  local function make(model, names, more)
    more.class, more.board, more.cores = about.interpret, about.board, about.cores
    local what = more.objective and "pretraining" or "training"
    local of = require((about.interpret and INTERPRETED or GENERATED)[what]).of
    trainer = of(model, more.objective or names, more)
    return trainer
  end
  local digest = require("run.interpretation").in_class(about.interpret, case.run, folder, make, options)
  if trainer.close then trainer:close() end
  return digest
end

return case
