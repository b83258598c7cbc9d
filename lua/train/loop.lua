-- SPDX-License-Identifier: Apache-2.0
--- The steps of a training: for each image of the batch encode, prompts with a pass backward after each, then one
-- update; losses, rates and norms noted; validation and files from time to time. What a step does follows from the
-- options, the samples and the number of the step alone, so a run that was stopped and resumed ends in the same bytes.
local batches = require "train.batches"
local fail = require "support.fail"
local kinds = require "graph.kinds"
local rates = require "train.rates"
local sys = require "msagen.sys"

local loop = {}

local function finite(x) return x == x and x ~= math.huge and x ~= -math.huge end

-- The targets of a slice, [M,T,T]; where the prompt chose a class that one's alone, [1,T,T].
local function target_of(targets, slice, class)
  local shape = targets.shape
  targets = targets:slice(1, slice, 1)
  if class then targets = targets:slice(2, class - 1, 1) end
  return targets:reshape { class and 1 or shape[2], shape[3], shape[4] }
end

-- What went wrong with a sample, by its name.
local function refuse(name, what, ...)
  fail("%s: %s: the files are of the last good step", name, what:format(...))
end

-- All prompts of a slice: decode and go back after each. @return the sum of their losses
local function of_slice(job, sample, slice, key, weight)
  local trainer, sum = job.trainer, 0.0
  local session = job.prompter(sample, slice, key)
  local logits, scores
  while true do
    local prompt = session(logits, scores)
    if not prompt then return sum end
    prompt.slice = slice
    logits, scores = trainer:decode(prompt)
    local found = trainer:backward { target = target_of(sample.targets, slice, prompt.class), loss = job.options.loss,
      weight = weight }
    sum = sum + found.loss * weight
    if not finite(sum) then refuse(sample.name, "expected a finite loss, found %s", sum ~= sum and "NaN" or sum) end
  end
end

-- The passes of one image, for each of its prompts. @return their loss
local function of_prompts(job, sample, key)
  local sum, depth = 0.0, job.trainer.model.depth
  job.trainer:encode(sample.picture)
  for slice = 0, depth - 1 do sum = sum + of_slice(job, sample, slice, key, 1 / depth) end
  job.trainer:image_end()
  return sum
end

-- One image, forward and back. @return its loss
local function of_image(job, step, image, index)
  local sample = job.samples:at(index)
  local key = { seed = job.options.seed, step = step, image = image }
  if job.augment then sample = job.augment(sample, key) end
  local ok, problem = pcall(job.image or of_prompts, job, sample, key)
  if ok then return problem end
  local text = type(problem) == "table" and problem.msagen
  if not text or text:sub(1, #sample.name + 1) == sample.name .. ":" then error(problem, 0) end
  refuse(sample.name, "%s", text)
end

-- The images of this rank, and of all the sum of gradients in the trainer. @return the losses of all, in order
local function of_batch(job, step, list)
  local trainer, who, n, losses = job.trainer, job.who, #list, {}
  local from, to = who:part(n)
  local joins = who.count > 1 and who.tree(n)
  if job.before then job.before(job, step, list) end
  for image = from, to - 1 do
    losses[#losses + 1] = of_image(job, step, image, list[image + 1])
    if joins then
      joins:add(image, image + 1, trainer:values("gradient"):reshape { job.floats })
      trainer:set("gradient", nil)
    end
    who.look()
  end
  if not joins then return losses end
  local all = who:numbers(losses, function(rank)
    local a, b = who:part(n, rank)
    return b - a
  end)
  trainer:set("gradient", who:join_sums(joins, job.floats))
  return all
end

-- An update that the trainer refused, which then has changed nothing: the image whose gradient is none, or what it
-- said.
local function refuse_update(job, step, list, problem)
  for image, index in ipairs(list) do
    job.trainer:set("gradient", nil)
    of_image(job, step, image - 1, index)
    if not job.trainer:values("gradient"):finite() then
      refuse(job.samples:name(index), "expected a finite gradient, found others")
    end
  end
  if type(problem) ~= "table" then error(problem, 0) end
  refuse(("step %d"):format(step + 1), "%s", problem.msagen)
end

local function mean(list)
  local sum = 0.0
  for _, value in ipairs(list) do sum = sum + value end
  return sum / #list
end

-- A step, from 0. @return its line of the history { loss, rate, norm }
local function perform(job, run)
  local step, options = run.step, job.options
  local list = job.batch(step)
  local losses = of_batch(job, step, list)
  local rule = job.rule and job.rule(step) or options
  local rate = rates.at(rule, step)
  local update = { images = #list, step = step + 1 }
  for key, value in pairs(rule.optimiser) do update[key] = value end
  update.lr = rate
  local ok, found = pcall(job.trainer.update, job.trainer, update)
  if not ok then refuse_update(job, step, list, found) end
  return { mean(losses), rate, found.norm }
end

-- Dice and IoU of the validation's cases; whether they are the best so far is noted.
local function validate(job, run)
  local found = job.validation(job.trainer, job.who, job.show)
  found.step = run.step
  run.validations[#run.validations + 1] = found
  if not run.best or found.score > run.best.score then
    run.best = { step = run.step, score = found.score }
    return found, true
  end
  return found, false
end

local function text_of_time(seconds)
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  if seconds < 5400 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

local function show_progress(job, run, began, done_before)
  local done, steps = run.step - done_before, job.options.steps
  local left = ""
  if done > 0 then
    left = (", %s left"):format(text_of_time((sys.monotonic_ns() - began) / 1e9 / done * (steps - run.step)))
  end
  local last = run.history[#run.history]
  job.show(("step %d of %d%s%s"):format(run.step + 1, steps, last and (", loss %.4g"):format(last[1]) or "", left),
    run.step, steps)
end

-- Write files of a step, "save" or "best", whose weights are numbers.
local function write(job, run, which)
  local known, trainer = {}, setmetatable({}, { __index = job.trainer })
  trainer.values = function(_, kind) -- asked for again and again, and large
    known[kind] = known[kind] or job.trainer:values(kind)
    return known[kind]
  end
  if not trainer:values("parameters"):finite() then
    fail("step %d: expected finite weights, found others: a lower --learning-rate is needed; the files are of the last "
      .. "saved step", run.step)
  end
  job.outputs[which](job.outputs, run, trainer)
end

-- Whether a validation belongs after this step, and is not there: one that was stopped is done again.
local function is_due(job, run)
  local options, last = job.options, run.validations[#run.validations]
  if not job.validation or last and last.step == run.step then return false end
  return run.step == options.steps or options.validate_every > 0 and run.step % options.validate_every == 0
end

-- What a step leaves beside the parameters: validation, files, a line.
local function after_step(job, run)
  local options, leads, line = job.options, job.who.rank == 0, nil
  local last = run.step == options.steps
  if is_due(job, run) then
    local found, better = validate(job, run)
    line = found.text .. (better and ", the best so far" or "")
    if leads and better then write(job, run, "best") end
  end
  if leads and (last or run.step % options.save_every == 0) then write(job, run, "save") end
  if leads and (line or last) then
    job.say(("step %d: loss %.6g%s"):format(run.step, run.history[#run.history][1], line and ", " .. line or ""))
  end
end

-- A signal that was put off: save, and let it end the program.
local function stop_if_asked(job, run)
  if not sys.signal_held() then return end
  if job.who.rank == 0 and run.step > 0 then
    write(job, run, "save")
    job.warn(("stopped after step %d of %d: --resume goes on"):format(run.step, job.options.steps))
  end
  sys.hold_signals(false)
end

local function steps(job, run)
  local began, before = sys.monotonic_ns(), run.step
  job.who.look = function() stop_if_asked(job, run) end
  if run.step > 0 and is_due(job, run) then after_step(job, run) end
  while run.step < job.options.steps do
    show_progress(job, run, began, before)
    local line = perform(job, run)
    run.history[#run.history + 1], run.step = line, run.step + 1
    after_step(job, run)
    job.who.look()
    collectgarbage "step"
  end
end

--- Train.
-- @param job { trainer; samples = of train.samples; prompter = function(sample, slice, key = { seed, step, image }) ->
--   session(logits, scores of the prompt before or nil) -> a prompt for trainer:decode with, where
--   it chose one of several, its class from 1; or nil at the end; augment =
--   function(sample, key) -> sample, or nil; validation = function(trainer, who, show) -> { score, text, ... }, or nil;
--   image = function(job, sample, key) -> its loss, in place of prompts; before = function(job, step, the batch's
--   numbers of samples), before its images; rule = function(step) -> { optimiser, and what rates.at needs }, nil: the
--   options; who = of train.exchange; outputs = { best(run, trainer), save(run, trainer) }; show, say, warn =
--   function(text...);
--   options = { steps, batch, seed, loss, optimiser, learning_rate, schedule, warm_up, save_every, validate_every } }
-- @param run where to begin: { step = done so far, history = a line a step { loss, rate, norm }, validations, best }
-- @return run at the end
function loop.run(job, run)
  local n = #job.samples.items
  if n == 0 then fail "--data: expected a sample to train on, found none" end
  job.batch = batches.of(job.options.seed, job.options.batch, n)
  job.floats = loop.floats(job.trainer)
  sys.hold_signals(true)
  local ok, problem = pcall(steps, job, run)
  if not ok and job.who.rank == 0 and run.step > 0 then pcall(write, job, run, "save") end -- as it was before this step
  sys.hold_signals(false)
  if not ok then error(problem, 0) end
  return run
end

--- How many numbers a trainer trains.
function loop.floats(trainer)
  local n = 0
  for _, one in ipairs(trainer.parameters) do n = n + kinds.product(one.shape) end
  return n
end

--- The training digest: SHA-256 over all trained tensors in order, raw little-endian float32.
function loop.digest(trainer)
  local values, hash, piece = trainer:values "parameters", require("msagen.sha256").new(), 1 << 20
  for at = 0, values:numel() - 1, piece do
    hash:update(values:slice(1, at, math.min(piece, values:numel() - at)):tobytes())
  end
  return hash:hex()
end

return loop
