-- SPDX-License-Identifier: Apache-2.0
--- Schedule: every fused layer gets its kernels, its segment of the weights, its scratch and its buffers.
-- Relies on: fuse. Leaves: on each layer segment, scratch in floats, of which shared and own (a core), buffers {name = floats}, env (what its template sees), macs.
local layer_kinds = require "layer_kinds"
local lower = require "lower.lower"
local network = require "network"
local sam = require "networks.sam"

local schedule = {}

-- Most tokens of a block: 128, or 64 where the widest activations of 128 are more than three times the second-level cache, or more than
-- the attention's result, which is what the arena has room for anyway; 32 in small caches.
local function most_rows(tokens, cores, dim, hidden, l2)
  for _, rows in ipairs { 128, 64 } do
    if rows * hidden * 4 <= 3 * l2 and (rows == 64 or cores * rows * (hidden + 2 * dim) <= tokens * dim) then return rows end
  end
  return 32
end

--- Tokens that a layer takes at a time: a divisor of a slice's tokens, such that cores get even shares. Where there is none, a grid of
-- a prime number of tokens a side, a row of it.
function schedule.block_rows(grid, cores, dim, hidden, l2)
  local tokens = grid * grid
  local most = most_rows(tokens, cores, dim, hidden, l2)
  local best, least
  for rows = 2, math.min(tokens, most) do
    if tokens % rows == 0 then
      local blocks = tokens // rows
      -- A block costs its tokens, and its weights' way to the core once more.
      local cost = (blocks + cores - 1) // cores * (rows + 4)
      if not least or cost < least then best, least = rows, cost end
    end
  end
  return best or grid
end

local function hidden_of(graph)
  for _, L in ipairs(graph.fused) do
    if L.kind == "encoder_mlp" then return L:op("linear", 1).params.weight.shape[1] end
  end
  return 0
end

-- Kernels by name alone.
local function draft_of(kernels)
  local set = setmetatable({ draft = true }, { __index = kernels })
  set.make = function(_, _, name) return name end
  set.gemm = function() return "msa_gemm" end
  return set
end

function schedule.run(graph, model, kernels)
  local cores = graph.cores or 1
  kernels.cores = cores
  local ctx = { graph = graph, model = model, kernels = kernels, cores = cores, block_rows = schedule.block_rows(model.grid, cores, model.dim, hidden_of(graph), kernels.board.caches.l2),
    token_rows = network.token_rows(model), token_chunk = network.TOKEN_CHUNK, click_tokens = network.click_tokens(model) }
  -- Whether a segment has to come in pieces, and the floats that one may have.
  ctx.limit = graph.stream_buffer and graph.stream_buffer // 4
  function ctx.in_pieces(floats) return ctx.limit and floats > ctx.limit end
  local without = {}
  for _, one in ipairs(graph.pruned) do
    for _, name in ipairs(one.tensors) do without[name] = true end
  end
  local new = lower.context(sam.compute(model.parameters, setmetatable({ without = without }, { __index = model }), function() end, ctx.token_rows), { model = model, kernels = kernels, cores = cores,
    block_rows = ctx.block_rows, token_rows = ctx.token_rows, token_chunk = ctx.token_chunk, click_tokens = ctx.click_tokens, draft = kernels.draft, models = graph.models, pruned = graph.pruned, limit = ctx.limit, draft_kernels = ctx.limit and draft_of(kernels) })
  graph.click_tokens = ctx.click_tokens
  for _, L in ipairs(graph.fused) do
    L.private = graph.private and graph.private[L.name] -- roles of weights that differ between banks
    local made = lower.layer(L.name, new, L.private)
    if made then
      for key, value in pairs(made) do L[key] = value end
      L.macs, L.position = new.macs[L.name], made.lowered.parameters[1] and made.lowered.parameters[1].argument == "position"
      L.image = made.lowered.returns ~= nil
      L.relower = function(ready)
        local again = lower.layer(L.name, new, L.private, ready)
        L.lowered, L.prepare = again.lowered, again.prepare
      end
    else
      require("layers." .. layer_kinds.of(L.kind, ("schedule: layer %s"):format(L.name)).name).prepare(L, ctx)
      L.shared, L.own = L.scratch.shared, L.scratch.own
    end
    L.scratch = L.shared + cores * L.own
  end
  return graph
end

return setmetatable(schedule, { __call = function(_, ...) return schedule.run(...) end })
