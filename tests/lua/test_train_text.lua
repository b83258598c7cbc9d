-- SPDX-License-Identifier: Apache-2.0
-- Text prompts in training: the projection of texts is made and trains, a text is one token more, generated code has
-- the interpreter's bits; and a build of what was trained asks by the same texts.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local sys, tensor, safetensors = require "msagen.sys", require "msagen.tensor", require "msagen.safetensors"
local exported, import, interpretation, interpreted = require "train.exported", require "import.import",
  require "run.interpretation", require "train.interpreted"
local made, models, sets, text, texts = require "train.made", require "train_models", require "train.sets",
  require "import.text", require "train.texts"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-text-")
sys.cleanup(work)

local NAME, WIDTH = "prompt_encoder.text_projection.weight", 12
local SAM = { kind = "sam", focal = 20, dice = 1, iou = 1 }
local RULE = { kind = "adamw", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, decay_on = "matrices" }

-- Embeddings of two phrases, as msagen embed writes them without a projection.
local function embeddings()
  local path, values = work .. "/names.safetensors", {}
  for i = 1, 2 * WIDTH do values[i] = (i * 7) % 5 - 2 + (i % 3) * 0.25 end
  local raw = tensor.from(values, { 2, WIDTH })
  local units = require("text.embedding").prompts(raw):scale(1)
  safetensors.write(path, { { "prompts", units }, { "embeddings", raw } }, { { "names", '["cup","disc"]' } })
  return path
end

local function model_of(dialect, base, options)
  local all = { dialect = dialect, text = WIDTH }
  for key, value in pairs(options or {}) do all[key] = value end
  return made.model(checkpoint.open((models.file(work, base or dialect))), all)
end

local function trainer_of(model, class)
  return interpreted.of(model, sets.of(model, nil, "test"), { class = class })
end

-- Prompts by texts: alone, with points, and one without.
local function prompts_of(list)
  return { { text = list:vector("cup", "test"), multimask = true },
    { text = list:vector("disc", "test"), points = { { 20, 30, 1 }, { 7, 9, 0 } } }, { points = { { 3, 4, 1 } } } }
end

local function loss_of(trainer, model, list, number)
  local sum = 0
  trainer:encode(models.picture(model, number))
  for i, prompt in ipairs(prompts_of(list)) do
    trainer:decode(prompt)
    sum = sum + trainer:backward { target = models.target(24, i), loss = SAM }.loss
  end
  return sum
end

local function trained(trainer, model, list)
  for number = 1, 2 do
    loss_of(trainer, model, list, number)
    trainer:image_end()
    trainer:update(RULE)
  end
  return trainer:values "parameters"
end

describe("a projection of texts", function()
  local list = texts.read(embeddings())

  it("is made where the file lacks it, and trains with what the dialect's program trains", function()
    for dialect, base in pairs { ["msa-paper"] = "sam", ["msa-2023"] = "msa-2023", sam = "sam" } do
      local model, fresh, whole = model_of(dialect, base)
      equal({ fresh[#fresh], model.projection.shape, whole:has(NAME) }, { NAME, { model.out, WIDTH }, true })
      local trains = select(2, sets.of(model, nil, "test"))
      equal(trains[NAME], true, dialect)
      local squares = 0
      for _, v in ipairs(model.projection:reshape { model.out * WIDTH }:totable()) do squares = squares + v * v end
      local variance = squares / (model.out * WIDTH)
      assert(variance > 0.35 and variance < 0.65, variance) -- of 1/2
    end
    equal(select(2, sets.of(model_of "sam", "encoder", "test"))[NAME], nil)
    local other, same = model_of("sam", "sam", { seed = 4 }), model_of("sam", "sam", { seed = 4 })
    assert(other.projection:equal(same.projection) and not other.projection:equal(model_of("sam").projection))
  end)

  it("is refused where it cannot be", function()
    refuses(function() model_of "efficient-sam" end, "text prompts: expected a network with SAM's prompts",
      "efficient-sam")
    local _, _, whole = model_of "sam"
    refuses(function() made.model(whole, { dialect = "sam", text = WIDTH + 1 }) end,
      "text prompts: expected embeddings of 12 numbers", "found 13")
    local plain = models.of(work, "sam")
    local trainer = interpreted.of(plain, sets.of(plain, "masks", "test"), { class = "f32-fma-1" })
    trainer:encode(models.picture(plain))
    refuses(function() trainer:decode { text = list:vector("cup", "test") } end, "decode: text: expected a network")
    local model = model_of "sam"
    trainer = interpreted.of(model, sets.of(model, "masks", "test"), { class = "f32-fma-1" })
    trainer:encode(models.picture(model))
    refuses(function() trainer:decode { text = tensor.zeros { 5 } } end, "an embedding of 12 numbers, found 5")
  end)

  it("has the gradient of the loss, by differences", function()
    interpretation.in_class("float64", function()
      local model = model_of("msa-paper", "sam")
      local trainer = trainer_of(model, "float64")
      loss_of(trainer, model, list, 0)
      trainer:image_end()
      local gradient, at, one = trainer:values("gradient"):totable(), trainer:values("parameters"):totable(), nil
      for _, p in ipairs(trainer.parameters) do one = p.name == NAME and p or one end
      local slope = 0
      for i = one.offset + 1, one.offset + one.count do slope = slope + gradient[i] * (i % 3 - 1) end
      local function moved(h)
        local values = table.move(at, 1, #at, 1, {})
        for i = one.offset + 1, one.offset + one.count do values[i] = values[i] + h * (i % 3 - 1) end
        trainer:set("parameters", tensor.from(values, { #values, 1 }))
        return loss_of(trainer, model, list, 0)
      end
      local h = 1e-4
      local found = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
      assert(math.abs(slope) > 1e-4 and math.abs(found - slope) < 1e-6 * math.abs(slope),
        ("%.10g, by differences %.10g"):format(slope, found))
    end)
  end)

  it("stays where no prompt has a text: what only texts reach has no gradient", function()
    local model = model_of("msa-paper", "sam")
    local trainer = trainer_of(model, "f32-fma-1")
    trainer:encode(models.picture(model))
    trainer:decode { points = { { 3, 4, 1 } } }
    trainer:backward { target = models.target(24), loss = SAM }
    trainer:image_end()
    for _, one in ipairs(trainer.parameters) do
      local own = trainer:values("gradient"):slice(1, one.offset, one.count)
      if one.name == NAME then equal(own:is_zero(), true) end
    end
  end)

  it("is in the file that is written, and a build asks by it", function()
    local model = model_of("msa-paper", "sam")
    local trainer = trainer_of(model, "f32-fma-1")
    trained(trainer, model, list)
    local path = work .. "/trained.safetensors"
    safetensors.write(path, exported.of(model, (sets.of(model, nil, "test")))(trainer), { { "format", "pt" } })
    local again = import.load(checkpoint.open(path), { dialect = "msa-paper" })
    again.texts = text.load(embeddings(), again)
    equal({ again.texts.names, again.texts.matrix.shape }, { { "cup", "disc" }, { 2, model.out } })
    local inference = interpretation.of(again, "f32-fma-1")
    trainer:encode(models.picture(model))
    inference:encode(models.picture(model))
    for k, name in ipairs { "cup", "disc" } do
      local logits = trainer:decode { text = list:vector(name, "test"), points = { { 20, 30, 1 } } }
      local expected = inference:decode(0, { text = k - 1, points = { { 20, 30, 1 } } })
      local a, b = logits:totable(), expected:totable()
      local most, scale = 0, 0
      for i, v in ipairs(a) do most, scale = math.max(most, math.abs(v - b[i])), math.max(scale, math.abs(v)) end
      assert(most < 1e-5 * scale, ("%g of %g"):format(most, scale)) -- a build projects in double precision
    end
  end)

  it("tells embeddings from prompts by their width", function()
    local model = { out = WIDTH, projection = tensor.zeros { WIDTH, WIDTH } }
    refuses(function() text.load(embeddings(), model) end, "expected a projection beside it", "12 numbers to as many")
    refuses(function() text.load(embeddings(), { out = 32 }) end, "expected [2,32]")
    refuses(function() text.load(embeddings(), { out = 32, projection = tensor.zeros { 32, 7 } }) end,
      "expected [2,32]")
  end)

  if not spec.compiles() then return end
  it("has the interpreter's bits in generated code", function()
    local model = model_of("msa-paper", "sam")
    for board, class in pairs { ["generic-c99"] = "f32-fma-1", ["generic-c99-nofma"] = "f32-muladd-1" } do
      local generated = require("train.generated").of(model, sets.of(model, nil, "test"),
        { dir = work .. "/" .. board, board = board, batch = 1 })
      local expected, found = trained(trainer_of(model, class), model, list), trained(generated, model, list)
      generated:close()
      equal(found:tobytes() == expected:tobytes(), true, board)
    end
  end)
end)
