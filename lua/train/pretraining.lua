-- SPDX-License-Identifier: Apache-2.0
--- A pre-training put together of its options: an encoder, pictures, objectives in turn, files; and run by the loop of
-- all trainings (lua/train/loop.lua).
local exchange = require "train.exchange"
local exported = require "train.exported"
local fail = require "support.fail"
local import = require "import.import"
local loop = require "train.loop"
local mixtures = require "train.mixtures"
local choices = require "train.choices"
local datasets = require "evaluate.datasets"
local objectives = require "train.objectives"
local outputs = require "train.outputs"
local pictures = require "train.pictures"
local pretrain_options = require "train.pretrain_options"
local provenance = require "train.provenance"
local rates = require "train.rates"
local shards = require "import.shards"
local starts = require "train.starts"
local sys = require "msagen.sys"
local turns = require "train.turns"
local uses = require "train.uses"

local pretraining = {}

-- ---- network ----

local NETWORK = { "dialect", "resolution", "global_blocks", "weights_key" }

local function network_of(o)
  for _, name in ipairs(o.objective) do
    if objectives.table[name].pairs and o.batch < 2 then
      fail("--batch %d: expected at least 2 with --objective %s, which tells pictures of a batch apart, found less",
        o.batch, name)
    end
  end
  if (o.base ~= nil) == (o.arch ~= nil) then
    fail("--base: expected it, or --arch, found %s", o.base and "both" or "neither")
  end
  local asked, base = {}, nil
  for _, field in ipairs(NETWORK) do asked[field] = o[field] end
  if o.arch then
    asked.resolution = o.resolution or 1024
    base, asked.dialect = starts.architecture(o.arch, o.dialect, asked.resolution, o.seed)
  else base = shards.open(o.base, o.weights_key)
  end
  return base, import.load(base, asked)
end

-- Sizes of an objective's head and choices.
local function sizes_of(o, name)
  if name == "mae" then
    return { dim = o.mae_width, heads = o.mae_heads, depth = o.mae_blocks, ratio = o.mask_ratio }
  end
  if name == "emix" then return { dim = o.features, temperature = o.temperature } end
  return name == "shed" and { rate = o.moved } or { ratio = o.mask_ratio }
end

-- Heads that the base has from an earlier pre-training.
local function head_of(base)
  return function(name) return base:has(name) and base:tensor(name) or nil end
end

-- How an objective is trained: what rates.at needs, and the optimiser.
local function rule_of(o, name, count)
  local objective = objectives.table[name]
  local own = objective.optimiser
  local epochs = math.ceil(objective.warm_up_epochs * count / o.batch)
  return { learning_rate = o.learning_rate or objective.rate(o.batch), steps = o.steps,
    schedule = (rates.parse(o.schedule or objective.schedule)),
    warm_up = o.warm_up or math.min(epochs, o.steps // 10),
    optimiser = { kind = o.optimiser or own.kind, betas = o.betas or own.betas, eps = o.eps or own.eps,
      decay = o.decay or own.decay, decay_on = o.decay_on or own.decay_on, clip = o.clip } }
end

-- Those of all objectives, in order; and whether the number of steps is part of what they say.
local function rules_of(o, count)
  local rules, fixed = {}, false
  for i, name in ipairs(o.objective) do
    rules[i] = rule_of(o, name, count)
    fixed = fixed or rules[i].schedule.kind == "cosine" or not o.warm_up and rules[i].warm_up > 0
  end
  return rules, fixed
end

-- ---- a step ----

-- The picture of a batch that a number of a sample stands for, changed as its image of the step is.
local function picture_of(job, step, list, i)
  local sample = job.samples:at(list[i])
  if job.augment then sample = job.augment(sample, { seed = job.options.seed, step = step, image = i - 1 }) end
  return sample.picture
end

-- Of a step of pairs: features of all, then the gradients that each picture's passes go back with.
local function mixed(job, step, list)
  local trainer, who, n = job.trainer.now, job.who, #list
  local mixing = {}
  mixing.shares, mixing.partners = choices.mixed(job.options.seed, step, n)
  local function at(i) return picture_of(job, step, list, i) end
  local from, to = who:part(n)
  local width = 2 * trainer.sizes.dim
  local features = who:numbers(mixtures.features(trainer, at, from + 1, to, mixing), function(rank)
    local a, b = who:part(n, rank)
    return (b - a) * width
  end)
  local loss, gradients = mixtures.loss(trainer.class, features, mixing.shares, mixing, trainer.sizes)
  job.mixed = { loss = loss, gradients = gradients, at = at, mixing = mixing }
end

-- Before a step's images: whose turn it is.
local function before(job, step, list)
  local trainer = job.trainer:turn(step)
  job.floats, job.mixed = loop.floats(trainer), nil
  if trainer.objective.pairs then mixed(job, step, list) end
end

-- The passes of one image. @return its loss
local function of_image(job, sample, key)
  local trainer, m = job.trainer.now, job.trainer.model
  if job.mixed then
    local i = key.image + 1
    mixtures.back(trainer, job.mixed.at, i, job.mixed.mixing, job.mixed.gradients[i])
    return job.mixed.loss
  end
  local chosen = trainer.objective.choose(key, m, trainer.sizes)
  trainer:pass(sample.picture, chosen)
  local found = trainer:backward { marked = chosen.marked }
  trainer:image_end()
  return found.loss
end

-- ---- the whole ----

-- What a file holds: the network as its program has it, and the heads.
local function exporter(model, heads)
  local encoder, is_head = {}, {}
  for _, entry in ipairs(model.entries) do
    if entry.found and entry.name:find "^image_encoder%." then encoder[#encoder + 1] = entry.name end
  end
  for _, name in ipairs(heads) do is_head[name] = true end
  local of_network = exported.of(model, encoder, false)
  return function(trainer)
    local list = of_network(trainer)
    local flat = trainer:values "parameters"
    for _, one in ipairs(trainer.parameters) do
      if is_head[one.name] then
        list[#list + 1] = { one.name, flat:slice(1, one.offset, one.count):reshape(one.shape) }
      end
    end
    return list
  end
end

local function how_of(o)
  return { bits = o.image_bits, frame = o.frame, axis = o.axis, rule = o.window and "window:" .. o.window or o.prepare }
end

-- Pictures, and a hash of all.
local function data_of(o, model, more)
  local set = pictures.set(o.data, { split = o.split, channel = o.channel })
  local function reading(done, total) more.show(("reading picture %d of %d"):format(done + 1, total), done, total) end
  for _, line in ipairs(set.notes) do more.warn(line) end
  return pictures.open(set.cases, { model = model, how = how_of(o), cache_bytes = o.cache << 20, show = reading }),
    datasets.hash(set, reading)
end

-- Trainers of all objectives, and the names of their heads' tensors.
local function trainers_of(o, model, base, more, class, who)
  local heads = {}
  local together = provenance.compiled(who, more.show, function(about)
    local list = {}
    sys.mkdir_p(about.dir)
    for i, name in ipairs(o.objective) do
      local own = setmetatable({ arena_limit = o.arena_limit, class = class, board = o.board, cores = o.cores,
        sizes = sizes_of(o, name),
        head = head_of(base), seed = o.seed, batch = (objectives.table[name].pairs and 2 or 1) * o.batch,
        dir = about.dir .. "/" .. name, errors = about.errors .. "-" .. name }, { __index = about })
      list[i] = more.trainer(model, name, own)
      for _, one in ipairs(list[i].parameters) do
        if one.name:find("pretrain.", 1, true) == 1 then heads[#heads + 1] = one.name end
      end
    end
    return turns.of(list)
  end)
  return together, heads
end

local function introduced(model, o, trainer, samples, run)
  return ("%s, %d x %d; %s; %d tensors train, %d numbers; %d pictures%s"):format(model.dialect, model.image_size,
    model.image_size, table.concat(o.objective, ", "), #trainer.parameters, loop.floats(trainer), #samples.items,
    run.step > 0 and ("; goes on after step %d"):format(run.step) or "")
end

--- Pre-train.
-- @param o what a script or the command line says (train/pretrain_options.lua), completed
-- @param more as of train/training.lua, trainer = function(model, objective, options of train.generated_passes)
-- @return the digest, the files, and the finished run
function pretraining.run(o, more)
  local class = more.class or provenance.class(o)
  local base, model = network_of(o)
  for _, line in ipairs(model.warnings or {}) do more.warn(line) end
  local samples, sha256 = data_of(o, model, more)
  local binding, facts = provenance.told("msagen pretrain", o, pretrain_options.list, { base = base:sha256(),
    data = sha256, script = more.script, arithmetic = class, dialect = model.dialect })
  local rules, fixed = rules_of(o, #samples.items)
  binding.steps = fixed and tostring(o.steps) or nil
  local files = outputs.new(o.out, { binding = binding, facts = facts })
  local who = exchange.join(files.ranks_path, function() end)
  local trainer, heads = trainers_of(o, model, base, more, class, who)
  files.exported = exporter(model, heads)
  local job = { trainer = trainer, samples = samples, outputs = files, who = who, show = more.show, say = more.say,
    warn = more.warn, image = of_image, before = before, rule = function(step) return rules[step % #rules + 1] end,
    options = { steps = o.steps, batch = o.batch, seed = o.seed, save_every = o.save_every, validate_every = 0 } }
  local plan = require("train.augment").parse(o.augment or "none")
  if next(plan) then
    job.augment = function(sample, key) return pictures.augmented(sample, plan, uses.key(key, "augment")) end
  end
  local run = files:start(trainer, more.resume, o.steps)
  if who.rank == 0 then more.say(introduced(model, o, trainer, samples, run)) end
  loop.run(job, run)
  return loop.digest(trainer), files, run, who
end

return pretraining
