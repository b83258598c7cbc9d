-- SPDX-License-Identifier: Apache-2.0
-- Generated training of networks that no golden case has: after two steps what trains has the interpreter's bits.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys or not spec.compiles() then return end
local generated, interpreted, models, sets = require "train.generated", require "train.interpreted",
  require "train_models", require "train.sets"
local tier = require "tier"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-train-generated-")
sys.cleanup(work)

local RULE = { kind = "adamw", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, decay_on = "matrices" }
local SAM = { kind = "sam", focal = 20, dice = 1, iou = 1 }

local function stepped(trainer, model)
  local prompts = { { points = { { 3, 4, 1 }, { 9, 9, 0 } }, multimask = model.classes == nil },
    { points = { { 7, 5, 1 } }, box = { 2, 3, 30, 35 } } }
  for number = 1, 2 do
    trainer:encode(models.picture(model, number))
    for i, prompt in ipairs(prompts) do
      prompt.slice = model.depth - 1
      trainer:decode(prompt)
      trainer:backward { target = models.target(24, i), loss = SAM, weight = 1 / model.depth }
    end
    trainer:image_end()
    trainer:update(RULE)
  end
  return trainer:values("parameters"):tobytes()
end

-- { dialect, what trains, slices }, the first three in the whole check, too.
local CASES = { { "sam-med2d" }, { "efficient-sam" }, { "msa-mobile-2025" }, { "mobile-sam" }, { "lite-medsam" },
  { "sam", "everything" }, { "msa-2023", "everything" }, { "msa-2023", nil, 4 }, { "msa-paper", "everything", 3 },
  { "msa-2025", { "adapters", "prompt_encoder%..*" } }, { "msa-efficient-2025" }, { "hf-sam" } }

describe("generated training has the interpreter's bits:", function()
  for i, case in ipairs(CASES) do
    if i <= 3 or tier.full then
      it(("%s, %d slices"):format(case[1], case[3] or 1), function()
        local model = models.of(work, case[1], { depth = case[3] })
        local trains = sets.of(model, case[2], "test")
        local made = generated.of(model, trains, { dir = ("%s/%d"):format(work, i), board = "generic-c99", batch = 1 })
        local found, expected = stepped(made, model), stepped(interpreted.of(model, trains, { class = "f32-fma-1" }),
          model)
        made:close()
        equal(found == expected, true)
      end)
    end
  end
end)
