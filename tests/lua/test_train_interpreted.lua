-- SPDX-License-Identifier: Apache-2.0
-- A trainer by the interpreter: its gradients are those of its losses, by differences, in every network; a batch's are
-- the tree's; what it holds can be taken and put back.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys = spec.host "msagen.sys"
if not sys then return end
local tensor = require "msagen.tensor"
local interpretation, interpreted, models, sets = require "run.interpretation", require "train.interpreted",
  require "train_models", require "train.sets"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-interpreted-")
sys.cleanup(work)

local SAM, BCE = { kind = "sam", focal = 20, dice = 1, iou = 1 }, { kind = "bce", pos_weight = 2 }

local function trainer_of(dialect, class, wanted, options)
  local model = models.of(work, dialect, options)
  return interpreted.of(model, sets.of(model, wanted, "test"), { class = class }), model
end

-- Prompts of every kind that a network has, two of them: points, then a box and, where it may be, a mask.
local function prompts_of(model)
  local side = 4 * model.grid
  local mask = {}
  for i = 1, side * side do mask[i] = i % 7 - 3 end
  local list = { { points = { { 20, 30, 1 }, { 7, 9, 0 } }, multimask = model.classes == nil },
    { points = { { 3, 4, 1 } }, box = not model.places and { 2, 3, 30, 35 } or nil,
      mask = not model.places and tensor.from(mask, { side, side }) or nil } }
  for _, prompt in ipairs(list) do prompt.slice = model.depth - 1 end
  return list
end

-- Loss of a picture with all prompts, with their gradients or not.
local function loss_of(trainer, model, rule, number)
  local sum = 0
  trainer:encode(models.picture(model, number))
  for i, prompt in ipairs(prompts_of(model)) do
    trainer:decode(prompt)
    sum = sum + trainer:backward { target = models.target(20 + 12 * i, i), loss = rule }.loss
  end
  return sum
end

-- A direction in which each tensor's share of the slope is of a size of its own. @return flat list, the slope
local function direction(trainer, gradient)
  local list, slope = {}, 0
  for k, one in ipairs(trainer.parameters) do
    local norm = 0
    for i = one.offset + 1, one.offset + one.count do norm = norm + gradient[i] ^ 2 end
    local scale = math.min(100, (1 + k % 3) / math.sqrt(norm)) / math.sqrt(one.count)
    for i = one.offset + 1, one.offset + one.count do
      -- Of the gradient's sign in most places, so that no tensor's share is near 0.
      local along = i % 4 == 0 and 1 or gradient[i] < 0 and -1 or 1
      list[i] = along * scale * (1 + i % 7) / 7
      slope = slope + list[i] * gradient[i]
    end
  end
  return list, slope
end

-- The slope of the loss along a direction, by five points.
local function difference(trainer, model, rule, along)
  local at, h = trainer:values("parameters"):totable(), 2e-6
  local function moved(times)
    local values = {}
    for i, v in ipairs(at) do values[i] = v + times * h * along[i] end
    trainer:set("parameters", tensor.in_double(tensor.from, values, { #values, 1 }))
    return loss_of(trainer, model, rule)
  end
  local found = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * h)
  trainer:set("parameters", tensor.in_double(tensor.from, at, { #at, 1 }))
  return found
end

describe("gradients are those of the loss, by differences", function()
  for _, case in ipairs { { "sam", "everything", SAM }, { "msa-2023", "everything", BCE },
    { "msa-2023", "everything", SAM, { depth = 4 } }, { "msa-paper", "everything", SAM, { depth = 3 } },
    { "msa-2025", "everything", BCE }, { "msa-2025", { "adapters", "prompt_encoder%..*" }, SAM },
    { "sam-med2d", "everything", SAM }, { "efficient-sam", "everything", SAM },
    { "msa-mobile-2025", "everything", SAM }, { "msa-efficient-2025", "everything", BCE } } do
    local options = case[4] or {}
    it(("%s, %s, %d slices"):format(case[1], case[3].kind, options.depth or 1), function()
      interpretation.in_class("float64", function()
        local trainer, model = trainer_of(case[1], "float64", case[2], options)
        loss_of(trainer, model, case[3])
        trainer:image_end()
        local gradient = trainer:values("gradient"):totable()
        local along, slope = direction(trainer, gradient)
        local found = difference(trainer, model, case[3], along)
        assert(math.abs(slope) > #trainer.parameters / 10)
        assert(math.abs(found - slope) < 1e-6 * math.abs(slope), ("%.10g, by differences %.10g"):format(slope, found))
      end)
    end)
  end
end)

local RULE = { kind = "adamw", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, decay_on = "matrices" }

describe("a trainer", function()
  local reference = require "msagen.reference".of "f32-fma-1"

  -- The gradient of one picture alone.
  local function of_one(trainer, model, number)
    trainer:set("gradient", nil)
    loss_of(trainer, model, BCE, number)
    trainer:image_end()
    return trainer:values "gradient"
  end

  it("adds pictures' gradients by the tree of a batch", function()
    local trainer, model = trainer_of("msa-2023", "f32-fma-1")
    local one, add = {}, reference.add
    for i = 1, 7 do one[i] = of_one(trainer, model, i) end
    assert(not one[1]:equal(one[2]))
    local four = add(add(one[1], one[2]), add(one[3], one[4]))
    local sums = { one[1], add(one[1], one[2]), add(add(one[1], one[2]), one[3]), four, add(four, one[5]),
      add(four, add(one[5], one[6])), add(four, add(add(one[5], one[6]), one[7])) }
    trainer:set("gradient", nil)
    for i = 1, 7 do
      loss_of(trainer, model, BCE, i)
      trainer:image_end()
      assert(trainer:values("gradient"):equal(sums[i]), "of " .. i)
    end
    local other = trainer_of("msa-2023", "f32-fma-1")
    other:set("gradient", sums[7])
    local norm = other:update(setmetatable({ images = 7 }, { __index = RULE })).norm
    equal(norm, trainer:update(RULE).norm)
    assert(trainer:values("parameters"):equal(other:values "parameters"))
  end)

  it("goes on from what it held, bit for bit", function()
    local through, model = trainer_of("msa-paper", "f32-muladd-1")
    local function step(trainer, number)
      loss_of(trainer, model, SAM, number)
      trainer:image_end()
      trainer:update(RULE)
    end
    step(through, 1)
    local kept = {}
    for _, kind in ipairs { "parameters", "first", "second", "step" } do kept[kind] = through:values(kind) end
    equal(kept.step, 1)
    local resumed = trainer_of("msa-paper", "f32-muladd-1")
    assert(not resumed:values("parameters"):equal(kept.parameters), "a step moved nothing")
    for kind, value in pairs(kept) do resumed:set(kind, value) end
    step(through, 2)
    step(resumed, 2)
    for _, kind in ipairs { "parameters", "first", "second" } do
      assert(through:values(kind):equal(resumed:values(kind)), kind)
    end
  end)

  it("begins with the file's values, and moves what trains alone", function()
    local trainer, model = trainer_of("msa-2023", "f32-fma-1")
    local before, offset = trainer:values("parameters"), 0
    for _, one in ipairs(trainer.parameters) do
      assert(before:slice(1, one.offset, one.count):reshape(one.shape):equal(model.tensor[one.name]), one.name)
      equal(one.offset, offset)
      offset = offset + one.count
    end
    equal(before:numel(), offset)
    of_one(trainer, model, 1)
    trainer:update { kind = "adam", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8 }
    local after = trainer:values("parameters")
    assert(not after:equal(before))
    for _, one in ipairs(trainer.parameters) do
      -- What takes no part in the loss of the masks that a prompt asks for has gradients of 0.
      local still = one.name:find "iou_prediction_head"
      equal(after:slice(1, one.offset, one.count):equal(before:slice(1, one.offset, one.count)), still ~= nil, one.name)
    end
  end)

  it("takes one row a token: prompts of any length give the logits of inference", function()
    local trainer, model = trainer_of("sam", "f32-fma-1", "decoder")
    local inference = interpretation.of(model, "f32-fma-1")
    trainer:encode(models.picture(model))
    inference:encode(models.picture(model))
    for _, prompt in ipairs(prompts_of(model)) do
      local logits, scores = trainer:decode(prompt)
      local expected, expected_scores = inference:decode(0, prompt)
      assert(logits:reshape(expected.shape):equal(expected) and scores:reshape(expected_scores.shape)
        :equal(expected_scores))
    end
  end)

  it("refuses what is out of order", function()
    local trainer, model = trainer_of("sam", "f32-fma-1", "decoder")
    refuses(function() trainer:update(RULE) end, "update: expected pictures before it, found none")
    trainer:encode(models.picture(model))
    refuses(function() trainer:backward { target = models.target(24), loss = BCE } end, "expected after decode")
    refuses(function() trainer:values "moments" end, "values: expected first, gradient", "found moments")
    refuses(function() trainer:set("paramters", nil) end, "did you mean parameters?")
    local deep = models.of(work, "msa-2023", { depth = 2 })
    local volumes = interpreted.of(deep, sets.of(deep, nil, "test"), { class = "f32-fma-1" })
    refuses(function() volumes:encode(models.picture(model)) end, "encode: expected 2 slices, found 1")
  end)
end)

describe("what was trained, as a file", function()
  local checkpoint, exported, import = require "msagen.checkpoint", require "train.exported", require "import.import"

  -- A checkpoint of a list of { name, tensor }.
  local function file_of(list)
    local order, of = {}, {}
    for i, one in ipairs(list) do order[i], of[one[1]] = one[1], one[2]:rename(one[1]) end
    return { path = "trained.safetensors", format = "safetensors", container = "safetensors", metadata = {},
      names = function() return order end, tensor = function(_, name) return of[name] end,
      sha256 = function() return ("0"):rep(64) end }
  end

  local function stepped(model, wanted)
    local trained = sets.of(model, wanted, "test")
    local trainer = interpreted.of(model, trained, { class = "f32-fma-1" })
    loss_of(trainer, model, SAM)
    trainer:image_end()
    trainer:update(RULE)
    return trainer, exported.of(model, trained)(trainer), exported.of(model, trained, true)(trainer)
  end

  for _, case in ipairs { { "sam", "everything" }, { "msa-2023" }, { "msa-2023", nil, { depth = 4 } },
    { "msa-2025" }, { "msa-paper" }, { "sam-med2d", "everything" }, { "efficient-sam", "everything" },
    { "msa-efficient-2025" }, { "msa-mobile-2025" } } do
    it(("has the trainer's bits: %s, %d slices"):format(case[1], (case[3] or {}).depth or 1), function()
      local model = models.of(work, case[1], case[3])
      local trainer, whole, alone = stepped(model, case[2])
      equal(#alone, #trainer.parameters)
      assert(#whole >= #alone)
      local options = { dialect = case[1], depth = model.depth,
        resolution = model.places and model.image_size or case[1]:find "mobile" and model.image_size or nil }
      local again = import.load(file_of(whole), options)
      equal({ again.image_size, again.grid }, { model.image_size, model.grid })
      local inference = interpretation.of(again, "f32-fma-1")
      trainer:encode(models.picture(model))
      assert(trainer.embedding:equal(inference:encode(models.picture(model))), "embedding")
      local prompt = prompts_of(model)[1]
      local logits, expected = trainer:decode(prompt), inference:decode(prompt.slice, prompt)
      assert(logits:reshape(expected.shape):equal(expected), "logits")
    end)
  end

  it("refuses positions that no file of the dialect could have", function()
    local model = models.of(work, "msa-2025")
    refuses(function() exported.of(model, sets.of(model, "everything", "test")) end, "image_encoder.pos_embed",
      "64 x 64", "msa-2025")
  end)
end)
