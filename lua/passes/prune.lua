-- SPDX-License-Identifier: Apache-2.0
--- Prune: relative positions whose tables are all zero, as 2024 and later checkpoints have them, add nothing.
-- Leaves: grid_attention operations without rel_pos_h and rel_pos_w; graph.pruned says what and the multiply-adds saved.
return function(graph)
  graph.pruned = graph.pruned or {}
  for op in graph:each "grid_attention" do
    local h, w = op.params.rel_pos_h, op.params.rel_pos_w
    if h and h:is_zero() and w:is_zero() then
      local queries = graph.values[op.inputs[1]]
      graph.pruned[#graph.pruned + 1] = { layer = op.layer, what = "all-zero relative positions", tensors = { h.name, w.name }, macs = queries.rows * queries.width * op.side * 2 }
      op.params.rel_pos_h, op.params.rel_pos_w = nil, nil
    end
  end
  return graph
end
