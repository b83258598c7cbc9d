-- SPDX-License-Identifier: Apache-2.0
-- A whole training with the fake trainer, as a program of its own that tests can kill or start as ranks:
--   luahost fake_training.lua DATA OUT.safetensors KEY=VALUE...   steps, batch, seed, save, validate, hold, empty,
--   resume=1, depth, resize, spoil=CASE (whose gradient is none from the third step on), cache (bytes), slow
--   (milliseconds an image), die=RANK (which kills itself in the tenth step),
--   stop=STEP (Ctrl-C in the validation after it), burst=STEP (whose weights are no numbers)
local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = ("%s/?.lua;%s/../../lua/?.lua;%s"):format(here, here, package.path)

local datasets = require "evaluate.datasets"
local exchange = require "train.exchange"
local fake = require "fake_trainer"
local loop = require "train.loop"
local outputs = require "train.outputs"
local random = require "msagen.random"
local rates = require "train.rates"
local samples = require "train.samples"
local sys = require "msagen.sys"
local uses = require "train.uses"
local validation = require "train.validation"

local asked = { steps = 6, batch = 5, seed = 1, save = 2, validate = 3, hold = 2, empty = "skip", cache = 1 << 24 }
for i = 3, #arg do
  local key, value = arg[i]:match "^(%w+)=(.*)$"
  asked[key] = math.tointeger(tonumber(value)) or value
end

local function nothing() end

-- One click anywhere inside the mask.
local function prompter(sample, slice, key)
  local bytes = sample.masks[1]:slice(1, slice, 1):tobytes()
  local inside = {}
  for at in bytes:gmatch "()\255" do inside[#inside + 1] = at - 1 end
  local done = #inside == 0
  return function()
    if done then return nil end
    done = true
    local at = inside[random.below(uses.key(key, "click", slice), 0, #inside) + 1]
    return { points = { { at % sample.width + 0.5, at // sample.width + 0.5, 1 } } }
  end
end

local function train()
  local trainer, how = fake.new { depth = asked.depth, resize = asked.resize }, {}
  local set, validated, trained = datasets.open(arg[1], {}), {}, {}
  for i, case in ipairs(set.cases) do table.insert(i <= asked.hold and validated or trained, case) end
  local opened = samples.open(trained, { model = trainer.model, how = how, empty = asked.empty, out_size = 16,
    edges = "soft", cache_bytes = asked.cache, show = nothing })
  if asked.spoil then
    local current
    opened.at = function(self, i)
      current = samples.at(self, i)
      return current
    end
    trainer.spoil = function(self) return self.steps >= 2 and current.name == asked.spoil end
  end
  if asked.slow then
    local encode = trainer.encode
    trainer.encode = function(...)
      sys.spawn { "sleep", tostring(asked.slow / 1000) }
      return encode(...)
    end
  end
  local files = outputs.new(arg[2], { facts = { dialect = "sam" }, binding = { seed = tostring(asked.seed) },
    exported = function(t) return { { "mask_decoder.all", t:values "parameters" } } end })
  local job = { trainer = trainer, samples = opened, prompter = prompter, outputs = files,
    validation = #validated > 0 and validation.of(validated, { clicks = { 1, 3 }, model = trainer.model, how = how }),
    who = exchange.join(files.ranks_path, nothing), show = nothing, say = print, warn = print,
    options = { steps = asked.steps, batch = asked.batch, seed = asked.seed, loss = { kind = "bce" },
      optimiser = { kind = "adam" }, learning_rate = 0.2, schedule = rates.parse "constant", warm_up = 3,
      save_every = asked.save, validate_every = asked.validate } }
  if asked.die == job.who.rank then
    local update, pid = trainer.update, io.open("/proc/self/stat"):read "n"
    trainer.update = function(self, with)
      if with.step == 10 then sys.spawn { "kill", "-KILL", tostring(pid) } end
      return update(self, with)
    end
  end
  if asked.burst then
    local update = trainer.update
    trainer.update = function(self, with)
      local found = update(self, with)
      if with.step == asked.burst then self.p[1] = 1 / 0 end
      return found
    end
  end
  local run = { step = 0, history = {}, validations = {} }
  if asked.stop then
    local measure, pid = job.validation, io.open("/proc/self/stat"):read "n"
    job.validation = function(...)
      if run.step == asked.stop then sys.spawn { "kill", "-INT", tostring(pid) } end
      return measure(...)
    end
  end
  if asked.resume then run = files:resume(trainer) end
  loop.run(job, run)
  job.who:part_ways()
  print("digest " .. loop.digest(trainer))
  job.who:finish(0)
end

local ok, problem = pcall(train)
if not ok then
  io.stderr:write("msagen: ", type(problem) == "table" and problem.msagen or tostring(problem), "\n")
  os.exit(1, true)
end
