-- SPDX-License-Identifier: Apache-2.0
--- Prune: what the checkpoint holds and the build needs not. Depth adapters of a 2-D build are not in the graph;
-- relative positions whose tables are all zero, as 2024 and later checkpoints have them, add nothing. Padding of
-- windows is pruned where attention is lowered, and listed with these.
-- Leaves: program.without, names of tensors that the network does without; program.pruned, what and the multiply-adds
-- saved.

local function depth_adapters(program, model)
  local unused, macs = {}, 0
  for _, fate in ipairs(model.fates) do
    if fate.fate == "dead" and fate.name:find("Depth_Adapter", 1, true) then
      unused[#unused + 1] = fate.name
      -- Of the adapters' own two maps, had they been run on every token.
      if fate.name:find "weight$" then macs = macs + fate.shape[1] * fate.shape[2] * model.grid * model.grid end
    end
  end
  if #unused == 0 then return end
  program.pruned[#program.pruned + 1] = { layer = "encoder", what = "unused Depth_Adapters", tensors = unused,
    macs = macs }
end

-- Whether a block's tables are zero in all banks, which one encoder serves.
local function all_zero(models, names)
  for _, model in ipairs(models) do
    for _, name in ipairs(names) do
      if not model.tensor[name] or not model.tensor[name]:is_zero() then return false end
    end
  end
  return true
end

-- Multiply-adds of a block's relative positions, on windows with their padding.
local function table_macs(model, i)
  local window = not model.global[i] and model.window > 0 and model.window or nil
  local along = window and (model.grid + window - 1) // window or 1
  local side = window or model.grid
  return model.depth * along * along * side * side * model.dim * side * 2
end

return function(program, model)
  program.pruned, program.without = {}, {}
  depth_adapters(program, model)
  for i = 0, model.blocks - 1 do
    local names = { ("image_encoder.blocks.%d.attn.rel_pos_h"):format(i),
      ("image_encoder.blocks.%d.attn.rel_pos_w"):format(i) }
    if all_zero(program.models, names) then
      local tensors = {}
      for k, name in ipairs(names) do program.without[name], tensors[k] = true, model.tensor[name].name end
      program.pruned[#program.pruned + 1] = { layer = ("block_%02d_attention"):format(i),
        what = "all-zero relative positions", tensors = tensors, macs = table_macs(model, i) }
    end
  end
  return program
end
