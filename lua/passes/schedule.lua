-- SPDX-License-Identifier: Apache-2.0
--- Schedule: every fused layer gets its kernels, its segment of the weights, its scratch and its buffers.
-- Relies on: fuse. Leaves: on each layer segment, scratch (floats), buffers {name = floats}, env (what its template sees), macs.
local network = require "network"

-- Tokens that a layer takes at a time: whole rows of the grid, a divisor of it, so that there is no remainder; about 128.
local function block_rows(grid)
  local best = grid
  for rows = 1, grid do
    if grid % rows == 0 and (rows * grid <= 128 or (rows == grid and rows * grid <= 192)) then best = rows * grid end
  end
  return best
end

return function(graph, model, kernels)
  local ctx = { graph = graph, model = model, kernels = kernels, block_rows = block_rows(model.grid), token_rows = network.token_rows(model) }
  for _, L in ipairs(graph.fused) do
    L.private = graph.private and graph.private[L.name] -- roles of weights that differ between banks
    require("layers." .. L.kind).prepare(L, ctx)
  end
  return graph
end
