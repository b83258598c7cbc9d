-- SPDX-License-Identifier: Apache-2.0
--- Schedule: every fused layer gets its kernels, its segment of the weights, its scratch and its buffers.
-- Relies on: fuse. Leaves: on each layer segment, scratch in floats, of which shared and own (a core), buffers {name = floats}, env (what its template sees), macs.
local network = require "network"

local schedule = {}

--- Tokens that a layer takes at a time: a divisor of a slice's tokens, about 64, so that the widest activations of a block stay in a
-- small second-level cache, and such that cores get even shares.
function schedule.block_rows(grid, cores)
  local tokens = grid * grid
  local best, least
  for rows = 1, math.min(tokens, 192) do
    if tokens % rows == 0 then
      local blocks = tokens // rows
      local share = (blocks + cores - 1) // cores
      -- A block costs its tokens, and its weights' way to the core once more; wide blocks lose the cache.
      local cost = share * (rows + 4) * (rows > 64 and 1 + (rows - 64) / 640 or 1)
      if not least or cost < least then best, least = rows, cost end
    end
  end
  return best
end

function schedule.run(graph, model, kernels)
  local cores = graph.cores or 1
  kernels.cores = cores
  local ctx = { graph = graph, model = model, kernels = kernels, cores = cores, block_rows = schedule.block_rows(model.grid, cores),
    token_rows = network.token_rows(model), token_chunk = network.TOKEN_CHUNK, click_tokens = network.click_tokens(model) }
  for _, L in ipairs(graph.fused) do
    L.private = graph.private and graph.private[L.name] -- roles of weights that differ between banks
    require("layers." .. L.kind).prepare(L, ctx)
    L.shared, L.own = L.scratch.shared, L.scratch.own
    L.scratch = L.shared + cores * L.own
  end
  return graph
end

return setmetatable(schedule, { __call = function(_, ...) return schedule.run(...) end })
