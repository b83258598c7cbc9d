-- SPDX-License-Identifier: Apache-2.0
--- Prune: what the checkpoint holds and the build needs not. Depth adapters of a 2-D build are not in the graph; relative positions whose tables are all zero, as 2024 and later checkpoints have them, add nothing.
-- (Window padding is pruned where the attention layer is scheduled, and listed with these.) Leaves: grid_attention operations without rel_pos_h and rel_pos_w; graph.pruned says what and the multiply-adds saved.
return function(graph, model)
  graph.pruned = graph.pruned or {}
  local unused = {}
  for _, fate in ipairs(model.fates) do
    if fate.fate == "dead" and fate.name:find("Depth_Adapter", 1, true) then unused[#unused + 1] = fate.name end
  end
  if #unused > 0 then
    local macs = 0 -- of the adapters' own two maps, had they been run on every token
    for _, fate in ipairs(model.fates) do
      if fate.fate == "dead" and fate.name:find("Depth_Adapter.*weight$") then macs = macs + fate.shape[1] * fate.shape[2] * model.grid * model.grid end
    end
    graph.pruned[#graph.pruned + 1] = { layer = "encoder", what = "unused Depth_Adapters", tensors = unused, macs = macs }
  end
  for op in graph:each "grid_attention" do
    local h, w = op.params.rel_pos_h, op.params.rel_pos_w
    local zero = h ~= nil
    for _, bank in ipairs(graph.models or { model }) do -- one encoder serves all banks
      for _, axis in ipairs { "h", "w" } do
        local t = bank.tensor[("image_encoder.blocks.%d.attn.rel_pos_%s"):format(op.block, axis)]
        zero = zero and t:is_zero()
      end
    end
    if zero then
      local queries = graph.values[op.inputs[1]]
      graph.pruned[#graph.pruned + 1] = { layer = op.layer, what = "all-zero relative positions", tensors = { h.name, w.name }, macs = queries.rows * queries.width * op.side * 2 }
      op.params.rel_pos_h, op.params.rel_pos_w = nil, nil
    end
  end
  return graph
end
