-- SPDX-License-Identifier: Apache-2.0
--- The losses of training by name, and those of the programs that trained each dialect.

local losses = {}

--- A rule each, as trainers take it (lua/train/interpreted.lua).
losses.table = { bce = { kind = "bce", pos_weight = 2 }, dicece = { kind = "dicece", cross_entropy = "none" },
  sam = { kind = "sam", focal = 20, dice = 1, iou = 1 } }

--- The names of all.
losses.names = { "bce", "dicece", "sam" }

--- The rule of a name, or a rule itself; where nothing is wanted that of the model's program.
-- @param wanted a name, a rule or nil @param model a model description
function losses.of(wanted, model)
  if type(wanted) == "table" then return wanted end
  if wanted then return losses.table[wanted] end
  if model.dialect:match "^msa" then return model.depth > 1 and losses.table.dicece or losses.table.bce end
  if model.dialect:match "medsam" then return { kind = "dicece", cross_entropy = "binary" } end
  return losses.table.sam
end

return losses
