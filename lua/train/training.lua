-- SPDX-License-Identifier: Apache-2.0
--- A training put together of its options: network, data, trainer, prompts, files; and run.
local arithmetic = require "target.arithmetic"
local boards = require "target.boards"
local datasets = require "evaluate.datasets"
local exchange = require "train.exchange"
local exported = require "train.exported"
local fail = require "support.fail"
local json = require "msagen.json"
local loop = require "train.loop"
local made = require "train.made"
local outputs = require "train.outputs"
local prompts = require "train.prompts"
local random = require "msagen.random"
local rates = require "train.rates"
local samples = require "train.samples"
local sets = require "train.sets"
local shards = require "import.shards"
local sys = require "msagen.sys"
local uses = require "train.uses"
local validation = require "train.validation"

local training = {}

-- ---- what the dialect's program does, where nobody says anything ----

local function of_msa(model) return model.dialect:match "^msa" ~= nil end

local LOSSES = { bce = { kind = "bce", pos_weight = 2 }, dicece = { kind = "dicece", cross_entropy = "none" },
  sam = { kind = "sam", focal = 20, dice = 1, iou = 1 } }

local function loss_of(o, model)
  if type(o.loss) == "table" then return o.loss end
  if o.loss then return LOSSES[o.loss] end
  if of_msa(model) then return model.depth > 1 and LOSSES.dicece or LOSSES.bce end
  if model.dialect:match "medsam" then return { kind = "dicece", cross_entropy = "binary" } end
  return LOSSES.sam
end

local function mode_of(o, model)
  if o.prompts then return o.prompts end
  if model.dialect == "msa-paper" then return "paper" end
  return of_msa(model) and "msa" or model.dialect:match "medsam" and "box" or "sam"
end

local function out_size_of(o, model)
  local least = 4 * model.grid
  if o.out_size and o.out_size < least then
    fail("--out-size: expected at least the side of the logits, %d, found %d", least, o.out_size)
  end
  if o.out_size then return o.out_size end
  return of_msa(model) and model.training.upsampling ~= "none" and math.max(least, 256) or least
end

local function empty_of(o, model)
  return o.empty or model.dialect:match "^msa.*2025" and "negative" or "skip"
end

local function optimiser_of(o, loss)
  local kind = o.optimiser or (loss.kind == "sam" and "adamw" or "adam")
  return { kind = kind, betas = o.betas, eps = o.eps, decay = o.decay or (kind == "adamw" and 0.1 or 0),
    decay_on = o.decay_on, clip = o.clip }
end

-- ---- network ----

local NETWORK = { "dialect", "resolution", "depth", "chunk", "classes", "decoder_heads", "global_blocks",
  "click_order", "lora", "init", "anew", "seed", "weights_key" }

local function network_of(o)
  local asked = {}
  for _, field in ipairs(NETWORK) do asked[field] = o[field] end
  local base = shards.open(o.base, o.weights_key)
  local model, fresh, whole = made.model(base, asked)
  return { base = base, model = model, made = fresh, whole = whole, trained = (sets.of(model, o.train, "--train")) }
end

-- ---- data ----

-- Cases apart from those that are held out, whole patients by the seed until there are so many cases.
local function hold_out(cases, count, seed)
  local patients, of = {}, {}
  for _, case in ipairs(cases) do
    if not of[case.patient] then of[case.patient], patients[#patients + 1] = {}, case.patient end
    table.insert(of[case.patient], case)
  end
  local held, n = {}, 0
  for _, place in ipairs(random.order(uses.key({ seed = seed, step = 0, image = 0 }, "held_out"), #patients)) do
    if n >= count then break end
    held[patients[place + 1]] = true
    n = n + #of[patients[place + 1]]
  end
  local trained, validated = {}, {}
  for _, case in ipairs(cases) do table.insert(held[case.patient] and validated or trained, case) end
  if #trained == 0 then
    fail("--validation %d: expected fewer cases than the set has, %d, by whole patients, found none left to train on",
      count, #cases)
  end
  return trained, validated
end

-- The cases to train on and those to measure on, and a hash of all.
local function data_of(o, show)
  local asked = { split = o.split, channel = o.channel, classes = nil }
  if o.labels then
    local why
    asked.classes, why = datasets.classes_option(o.labels)
    if not asked.classes then fail("--labels: %s", why) end
  end
  local set = datasets.open(o.data, asked)
  local function hashing(done, total) show(("reading case %d of %d"):format(done + 1, total), done, total) end
  local found = { set = set, trained = set.cases, validated = {}, sha256 = datasets.hash(set, hashing) }
  local count = o.validation and math.tointeger(tonumber(o.validation))
  if count then found.trained, found.validated = hold_out(set.cases, count, o.seed)
  elseif o.validation then
    asked.split = o.validation
    local other = datasets.open(o.data, asked)
    found.validated = other.cases
    found.sha256 = require("msagen.sha256").hex(found.sha256 .. datasets.hash(other, hashing))
  end
  return found
end

-- How image files are read.
local function how_of(o)
  return { bits = o.image_bits, frame = o.frame, axis = o.axis, rule = o.window and "window:" .. o.window or o.prepare }
end

-- ---- prompts ----

local function plane(t, slice) return t:slice(1, slice, 1):reshape { t.shape[2], t.shape[3] } end

-- What is clicked on: the mask, or of a network with several all that shows any.
local function truth_of(masks, slice)
  if #masks == 1 then return plane(masks[1], slice) end
  local planes = {}
  for i, mask in ipairs(masks) do planes[i] = plane(mask, slice) end
  return prompts.union(planes)
end

-- Prompts of a mask as the loop asks for them. Of MSA's clicks the mask is grey as it was resized.
local function prompter_of(o, model, loss)
  local mode = mode_of(o, model)
  if o.feedback == "logits" and model.places then
    fail("--feedback logits: expected a network that takes mask prompts, found one of %s", model.dialect)
  end
  local made_of = prompts.create { mode = mode, rounds = o.rounds, feedback = o.feedback ~= "none" and not model.places,
    multimask = loss.kind ~= "sam" and false or nil }
  local grey, skips = mode:match "^msa" ~= nil, empty_of(o, model) == "skip"
  return function(sample, slice, key)
    local truth = truth_of(grey and sample.greys or sample.masks, slice)
    local context = { key = key, slice = slice, name = sample.name, truth = truth, side = model.image_size }
    local asked = false
    return function(logits, scores)
      if asked then return made_of.next(context, logits, scores) end
      asked = true
      if skips and truth:is_zero() then return nil end
      return made_of.first(context)
    end
  end, made_of.rounds
end

-- ---- the whole ----

local function options_of(o, model)
  local loss = loss_of(o, model)
  return { steps = o.steps, batch = o.batch, seed = o.seed, loss = loss, optimiser = optimiser_of(o, loss),
    learning_rate = o.learning_rate, schedule = (rates.parse(o.schedule)), warm_up = o.warm_up,
    save_every = o.save_every, validate_every = o.validate_every }
end

-- What a state must be of, and what a file tells of how it was made: the options that are not as they are by default.
local function told(self, class)
  local o, list = self.options, require("train.options").list
  local binding = { base = self.network.whole:sha256(), data = self.data.sha256, arithmetic = class,
    version = msagen.version }
  local spoken = {}
  for _, one in ipairs(list) do
    local value = o[one.field]
    if value ~= nil and one.binds then
      binding[one.field] = json.encode(value)
      if one.default == nil or binding[one.field] ~= json.encode(one.default) then spoken[one.field] = value end
    end
  end
  if o.schedule == "cosine" then binding.steps = tostring(o.steps) end
  spoken.steps = o.steps
  return binding, { generator = "msagen train", version = msagen.version, dialect = self.network.model.dialect,
    base_sha256 = binding.base, data_sha256 = binding.data, arithmetic = class, seed = tostring(o.seed),
    options = json.encode(spoken) }
end

local function class_of(o)
  local board = o.board and boards.named(o.board, "--board") or boards.best()
  return arithmetic.class(board, "f32")
end

-- The samples, and lines that a person should know.
local function samples_of(self, show)
  local o, model = self.options, self.network.model
  local opened = samples.open(self.data.trained, { model = model, how = how_of(o), empty = empty_of(o, model),
    out_size = out_size_of(o, model), edges = o.edges or (of_msa(model) and "soft" or "hard"),
    cache_bytes = o.cache << 20, show = function(done, total)
      show(("reading case %d of %d"):format(done + 1, total), done, total)
    end })
  if #opened.items == 0 then
    fail("--data %s: expected a mask that shows a class, found none; --empty negative trains on images without", o.data)
  end
  return opened
end

local function validation_of(self, rounds)
  local o, model = self.options, self.network.model
  if #self.data.validated == 0 then return nil end
  local clicks = {}
  for _, n in ipairs(o.clicks or (rounds > 1 and { 1, 3, 10 } or { 1 })) do
    if not model.places or n <= model.places then clicks[#clicks + 1] = n end
  end
  return validation.of(self.data.validated, { clicks = clicks, model = model, how = how_of(o) })
end

-- Where a training begins: anew, or at the saved state.
local function begun(self, files, trainer)
  if self.resume then return files:resume(trainer) end
  local step = files:begun()
  if step and step < self.options.steps then
    fail("-o %s: expected another name or --resume, found the state of a training after step %d", files.path, step)
  end
  return { step = 0, history = {}, validations = {} }
end

-- What is said before the first step.
local function introduced(self, trainer, opened, run)
  local model, floats = self.network.model, loop.floats(trainer)
  local left = opened.left > 0 and (", %d left out that do not show their class"):format(opened.left) or ""
  return ("%s, %d x %d%s; %d tensors train, %d numbers; %d samples%s%s"):format(model.dialect, model.image_size,
    model.image_size, model.depth > 1 and (", %d slices"):format(model.depth) or "", #trainer.parameters, floats,
    #opened.items, left, run.step > 0 and ("; goes on after step %d"):format(run.step) or "")
end

-- The trainer. Of several ranks the first compiles; the others start what it made.
local function trainer_of(self, more, class, options, who)
  local o, model, together = self.options, self.network.model, who.count > 1
  local folder = together and who.folder or sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-train-")
  if not together then sys.cleanup(folder) end
  local about = { class = class, board = o.board, cores = o.cores, batch = o.batch, target_side = out_size_of(o, model),
    scores = options.loss.kind == "sam", dir = folder .. "/code",
    errors = ("%s/errors-%d"):format(folder, who.rank), jobs = sys.nproc(),
    progress = function(done, total) more.show("compiling", done or 0, total or 1) end }
  local function made()
    more.show("compiling", 0, 1)
    return more.trainer(model, self.network.trained, about)
  end
  local trainer = who.rank == 0 and made()
  if together then who:numbers(who.rank == 0 and { 1 } or {}, function(rank) return rank == 0 and 1 or 0 end) end
  about.compiled = who.rank > 0
  return trainer or made()
end

--- Train.
-- @param given what a script or the command line says (train/options.lua), completed
-- @param more { resume, class = of arithmetic, nil: the board's, trainer = function(model, names, options of train.generated and class) ->
--   a trainer, show, say, warn =
--   function(text...) }
-- @return the training digest, the files, and the finished run
function training.run(given, more)
  local self = { options = given, resume = more.resume }
  local class = more.class or class_of(given)
  self.network, self.data = network_of(given), nil
  local model = self.network.model
  for _, line in ipairs(model.warnings or {}) do more.warn(line) end
  self.data = data_of(given, more.show)
  for _, line in ipairs(self.data.set.notes) do more.warn(line) end
  local options, opened = options_of(given, model), samples_of(self, more.show)
  local prompter, rounds = prompter_of(given, model, options.loss)
  local binding, facts = told(self, class)
  local files = outputs.new(given.out, { exported = exported.of(model, self.network.trained, given.delta,
    self.network.made),
    binding = binding, facts = facts })
  local who = exchange.join(files.ranks_path, function() end)
  local trainer = trainer_of(self, more, class, options, who)
  local plan = require("train.augment").parse(given.augment or "none")
  local job = { trainer = trainer, samples = opened, prompter = prompter, outputs = files, options = options,
    validation = validation_of(self, rounds), who = who, show = more.show, say = more.say, warn = more.warn }
  if next(plan) then
    job.augment = function(sample, key) return opened:augmented(sample, plan, uses.key(key, "augment")) end
  end
  local run = begun(self, files, trainer)
  if job.who.rank == 0 then more.say(introduced(self, trainer, opened, run)) end
  loop.run(job, run)
  return loop.digest(trainer), files, run, job.who
end

return training
