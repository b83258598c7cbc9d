-- SPDX-License-Identifier: Apache-2.0
--- Prune: what the checkpoint holds and the build needs not. Depth adapters of a 2-D build are not in the graph.
-- Which of an encoder's tensors add nothing, the encoder tells (networks/encoders.lua). Padding of windows is pruned
-- where attention is lowered, and listed with these.
-- Leaves: program.without, names of tensors that the network does without; program.pruned, what and the multiply-adds
-- saved.

local encoders = require "networks.encoders"

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

return function(program, model)
  program.pruned, program.without = {}, {}
  depth_adapters(program, model)
  for _, one in ipairs(encoders.named(model.encoder.kind, "prune").prune(model, program.models)) do
    for i, name in ipairs(one.tensors) do
      program.without[name], one.tensors[i] = true, model.tensor[name].name
    end
    program.pruned[#program.pruned + 1] = one
  end
  return program
end
