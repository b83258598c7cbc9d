-- SPDX-License-Identifier: Apache-2.0
--- The two walks of a batch of pairs (lua/train/objectives/emix.lua): features of all mixtures and pictures, then their
-- gradients. What trainers are, lua/train/passes.lua says.

local emix = require "train.objectives.emix"
local losses = require "msagen.pretrain"
local tensor = require "msagen.tensor"

local mixtures = {}

--- The two passes of a picture of a batch: what each is given. @param at function(i from 1) -> u8 picture
local function passes_of(at, i, mixing)
  return at(i), { emix.mixture(mixing.shares[i], at(mixing.partners[i] + 1)), emix.mixture(1, at(i)) }
end

--- Features of pictures `from` to `to` of a batch, numbers from 1. @param mixing { shares, partners from 0 }
-- @return a list of numbers: of each picture those of its mixture, then its own
function mixtures.features(trainer, at, from, to, mixing)
  local list = {}
  for i = from, to do
    local picture, passes = passes_of(at, i, mixing)
    for _, chosen in ipairs(passes) do
      table.move(trainer:pass(picture, chosen):totable(), 1, trainer.sizes.dim, #list + 1, list)
    end
  end
  return list
end

--- The loss of a batch and its gradients by the features. @param list of all pictures, as features() gives it
-- @param shares of each picture in the loss
-- @return the loss; of each picture those of its mixture's features and of its own, tensors [1,width]
function mixtures.loss(class, list, shares, mixing, sizes)
  local kinds, width, batch = { {}, {} }, sizes.dim, #shares
  for i = 1, batch do
    for k = 1, 2 do
      table.move(list, (2 * i + k - 3) * width + 1, (2 * i + k - 2) * width, #kinds[k] + 1, kinds[k])
    end
  end
  local loss, dmixed, dplain = losses.of(class).mixture(tensor.from(kinds[1], { batch, width }),
    tensor.from(kinds[2], { batch, width }), shares, mixing.partners, sizes.temperature)
  local gradients = {}
  for i = 1, batch do gradients[i] = { dmixed:slice(1, i - 1, 1), dplain:slice(1, i - 1, 1) } end
  return loss, gradients
end

--- The gradients of a picture join the batch's. @param gradients of its features
function mixtures.back(trainer, at, i, mixing, gradients)
  local picture, passes = passes_of(at, i, mixing)
  for k, chosen in ipairs(passes) do
    trainer:pass(picture, chosen)
    trainer:backward { gradient = gradients[k] }
    trainer:image_end()
  end
end

return mixtures
