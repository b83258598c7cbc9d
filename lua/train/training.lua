-- SPDX-License-Identifier: Apache-2.0
--- A training put together of its options: network, data, trainer, prompts, files; and run.
local datasets = require "evaluate.datasets"
local exchange = require "train.exchange"
local exported = require "train.exported"
local fail = require "support.fail"
local loop = require "train.loop"
local losses = require "train.losses"
local made = require "train.made"
local outputs = require "train.outputs"
local prompts = require "train.prompts"
local provenance = require "train.provenance"
local random = require "msagen.random"
local rates = require "train.rates"
local samples = require "train.samples"
local sets = require "train.sets"
local shards = require "import.shards"
local uses = require "train.uses"
local validation = require "train.validation"

local training = {}

local CLICKED = require("train.options").CLICKED

-- ---- what the dialect's program does, where nobody says anything ----

local function of_msa(model) return model.dialect:match "^msa" ~= nil end

local function mode_of(o, model)
  if o.prompts == CLICKED and (model.classes or 1) > 1 then
    fail("--prompts %s: expected a network with one mask, found %d", CLICKED, model.classes)
  end
  if o.prompts then return o.prompts end
  if o.text_prompts then return "text" end
  if model.dialect == "msa-paper" then return "paper" end
  if of_msa(model) and model.depth > 1 and (model.classes or 1) < 2 then return CLICKED end
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

-- What texts there are to ask by.
local function texts_of(o)
  if o.prompts == "text" and not o.text_prompts then
    fail "--prompts text: expected with --text-prompts FILE, found without"
  end
  if o.text_prompts and (o.prompts or "text") ~= "text" then
    fail("--text-prompts: expected with --prompts text, found %s", o.prompts)
  end
  return o.text_prompts and require("train.texts").read(o.text_prompts)
end

local function network_of(o, texts)
  local asked = { text = texts and texts.width }
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

local function planes_of(masks, slice)
  local planes = {}
  for i, mask in ipairs(masks) do planes[i] = plane(mask, slice) end
  return planes
end

-- What is clicked on: the mask, or of a network with several all that shows any.
local function truth_of(masks, slice)
  local planes = planes_of(masks, slice)
  return #planes == 1 and planes[1] or prompts.union(planes)
end

-- The embedding of a sample's class.
local function phrase_of(o, texts, sample)
  if not sample.phrase then
    fail("--text-prompts: expected a class a sample, of --classes 1, found a sample of several: %s", sample.name)
  end
  return texts:vector(sample.phrase, ("%s: %s: name of the class"):format(o.text_prompts, sample.name))
end

-- Prompts of a mask as the loop asks for them. Of MSA's clicks the mask is grey as it was resized.
local function prompter_of(o, model, loss, texts)
  local mode = mode_of(o, model)
  if o.feedback == "logits" and model.places then
    fail("--feedback logits: expected a network that takes mask prompts, found one of %s", model.dialect)
  end
  local clicked = mode == CLICKED
  local made_of = prompts.create { mode = clicked and "msa" or mode, rounds = o.rounds,
    feedback = o.feedback ~= "none" and not model.places,
    multimask = loss.kind ~= "sam" and false or nil }
  local grey, skips = mode:match "^msa" ~= nil, empty_of(o, model) == "skip"
  return function(sample, slice, key)
    local context = { key = key, slice = slice, name = sample.name, side = model.image_size,
      text = texts and phrase_of(o, texts, sample) }
    if clicked then context.labels = prompts.labels(planes_of(sample.masks, slice))
    else context.truth = truth_of(grey and sample.greys or sample.masks, slice) end
    local asked = false
    return function(logits, scores)
      if asked then return made_of.next(context, logits, scores) end
      asked = true
      if skips and not clicked and context.truth:is_zero() then return nil end
      local prompt = made_of.first(context)
      if clicked then prompt.class = prompt.class or 1 end -- of an empty slice all are empty
      return prompt
    end
  end, made_of.rounds
end

-- ---- the whole ----

local function options_of(o, model)
  local loss = losses.of(o.loss, model)
  return { steps = o.steps, batch = o.batch, seed = o.seed, loss = loss, optimiser = optimiser_of(o, loss),
    learning_rate = o.learning_rate, schedule = (rates.parse(o.schedule)), warm_up = o.warm_up,
    save_every = o.save_every, validate_every = o.validate_every }
end

-- The samples, and lines that a person should know.
local function samples_of(self, show)
  local o, model = self.options, self.network.model
  local opened = samples.open(self.data.trained, { model = model, how = how_of(o), empty = empty_of(o, model),
    together = mode_of(o, model) == CLICKED,
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
  if not o.clicks and mode_of(o, model) == "box" then clicks = { validation.BOX } end
  local function text_of(name) return self.texts:vector(name, o.text_prompts .. ": name of the class") end
  return validation.of(self.data.validated, { clicks = self.texts and { validation.TEXT } or clicks, model = model,
    how = how_of(o), text_of = self.texts and text_of })
end

-- What is said before the first step.
local function introduced(self, trainer, opened, run)
  local model, floats = self.network.model, loop.floats(trainer)
  local left = opened.left > 0 and (", %d left out that do not show their class"):format(opened.left) or ""
  return ("%s, %d x %d%s; %d tensors train, %d numbers; %d samples%s%s"):format(model.dialect, model.image_size,
    model.image_size, model.depth > 1 and (", %d slices"):format(model.depth) or "", #trainer.parameters, floats,
    #opened.items, left, run.step > 0 and ("; goes on after step %d"):format(run.step) or "")
end

-- The trainer.
local function trainer_of(self, more, class, options, who)
  local o, model = self.options, self.network.model
  return provenance.compiled(who, more.show, function(about)
    about.class, about.board, about.cores, about.batch = class, o.board, o.cores, o.batch
    about.arena_limit = o.arena_limit
    about.target_side, about.scores = out_size_of(o, model), options.loss.kind == "sam"
    return more.trainer(model, self.network.trained, about)
  end)
end

--- Train.
-- @param given what a script or the command line says (train/options.lua), completed
-- @param more { resume, script = SHA-256 of the script, or nil, class = of arithmetic, nil: the board's, trainer =
--   function(model, names, options of train.generated and class) -> a trainer, show, say, warn = function(text...) }
-- @return the training digest, the files, and the finished run
function training.run(given, more)
  local self = { options = given, resume = more.resume }
  local class = more.class or provenance.class(given)
  self.texts = texts_of(given)
  self.network, self.data = network_of(given, self.texts), nil
  local model = self.network.model
  for _, line in ipairs(model.warnings or {}) do more.warn(line) end
  self.data = data_of(given, more.show)
  for _, line in ipairs(self.data.set.notes) do more.warn(line) end
  local options, opened = options_of(given, model), samples_of(self, more.show)
  local prompter, rounds = prompter_of(given, model, options.loss, self.texts)
  local binding, facts = provenance.told("msagen train", given, require("train.options").list,
    { base = self.network.whole:sha256(), data = self.data.sha256, script = more.script, arithmetic = class,
      dialect = model.dialect })
  if self.texts then binding.text_prompts = require("msagen.sha256").file(given.text_prompts) end
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
  local run = files:start(trainer, self.resume, given.steps)
  if job.who.rank == 0 then more.say(introduced(self, trainer, opened, run)) end
  loop.run(job, run)
  return loop.digest(trainer), files, run, job.who
end

return training
