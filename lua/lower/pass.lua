-- SPDX-License-Identifier: Apache-2.0
--- Lower: the network's graph becomes layers, each with its step, its segment of the weights, its scratch and its
-- buffers.
-- Relies on: prune. Leaves: program.fused, layers in order, { name, kind, phase, number, macs, and what lower.layer
-- gives }; program.network, the graph; program.buffers, value -> buffer; program.click_tokens.
local lower = require "lower.lower"
local sam = require "networks.sam"
local tokens = require "networks.tokens"

local pass = {}

-- Most tokens of a strip: 128, or 64 where the widest activations of 128 are more than three times the second-level
-- cache, or more than the attention's result, which is what the arena has room for anyway; 32 in small caches.
local function most_rows(count, cores, dim, hidden, l2)
  for _, rows in ipairs { 128, 64 } do
    if rows * hidden * 4 <= 3 * l2 and (rows == 64 or cores * rows * (hidden + 2 * dim) <= count * dim) then
      return rows
    end
  end
  return 32
end

--- Tokens that a layer takes at a time: a divisor of a slice's `count` tokens, such that cores get even shares. Where
-- there is none, as many as a row of the grid has, `across`.
-- @param dim, hidden widths of tokens and of the widest activations  @param l2 bytes of the second-level cache
function pass.strip_rows(count, across, cores, dim, hidden, l2)
  local most = most_rows(count, cores, dim, hidden, l2)
  local best, least
  for rows = 2, math.min(count, most) do
    if count % rows == 0 then
      local strips = count // rows
      -- A strip costs its tokens, and its weights' way to the core once more.
      local cost = (strips + cores - 1) // cores * (rows + 4)
      if not least or cost < least then best, least = rows, cost end
    end
  end
  return best or across
end

-- The widest activations that encoding has on a grid of so many tokens, and the width of what their layer leaves.
local function widths(list, count)
  local hidden, dim = 0, 0
  for _, one in ipairs(list) do
    local left = one.outputs[1].shape
    if one.phase == "encode" and #left == 4 and left[2] * left[3] == count then
      for _, op in ipairs(one.ops) do
        local width = op.shape[#op.shape]
        if width > hidden then hidden, dim = width, left[4] end
      end
    end
  end
  return dim, hidden
end

-- How many rows of a value [slices,height,width,c] a layer takes at a time: the same for all layers of a grid.
local function strips_of(list, cores, l2)
  local known = {}
  return function(value)
    local count, across = value.shape[2] * value.shape[3], value.shape[3]
    if not known[count] then
      local dim, hidden = widths(list, count)
      known[count] = pass.strip_rows(count, across, cores, dim, hidden, l2)
    end
    return known[count]
  end
end

-- Kernels by name alone.
local function draft_of(kernels)
  local set = setmetatable({ draft = true }, { __index = kernels })
  set.make = function(_, _, name) return name end
  set.gemm = function() return "msa_gemm", 0 end
  return set
end

-- The layers' names, and the phase and place that each has.
local function layers_of(ctx)
  local list, numbers = {}, { encode = 0, decode = 0 }
  for i, one in ipairs(ctx.order) do
    local nest = lower.nest_of(one)
    list[i] = { name = one.label, kind = nest.kind(one), nest = nest.name, phase = one.phase,
      number = numbers[one.phase] }
    numbers[one.phase] = numbers[one.phase] + 1
  end
  return list
end

function pass.run(program, model, kernels)
  local cores = program.cores
  kernels.cores = cores
  program.click_tokens = tokens.of_click(model)
  local reduced = setmetatable({ without = program.without }, { __index = model })
  program.network, program.precisions = program.precision:apply(sam.compute(model.parameters, reduced,
    function() end, tokens.rows(model)))
  local limit = program.stream_buffer
  local ctx = lower.context(program.network, { model = model, kernels = kernels, cores = cores,
    token_rows = tokens.rows(model), token_chunk = tokens.CHUNK, click_tokens = program.click_tokens,
    draft = kernels.draft, pruned = program.pruned, limit = limit, draft_kernels = limit and draft_of(kernels) })
  ctx.strip_of = strips_of(ctx.order, cores, kernels.board.caches.l2)
  ctx.strip_rows = ctx.strip_of(program.network.outputs.embedding)
  program.fused, program.buffers = layers_of(ctx), ctx.buffers
  for _, L in ipairs(program.fused) do
    L.private = program.private and program.private[L.name] -- roles of weights that differ between banks
    for key, value in pairs(lower.layer(L.name, ctx, L.private)) do L[key] = value end
    -- Names of the buffers of what it takes first, and of what it leaves.
    local from, to = ctx.buffers[L.group.inputs[1]], ctx.buffers[L.group.outputs[1]]
    L.from, L.to = from and from.name, to and to.name
    L.macs, L.scratch = ctx.macs[L.name], L.shared + cores * L.own
    L.relower = function(ready)
      local again = lower.layer(L.name, ctx, L.private, ready)
      L.lowered, L.prepare = again.lowered, again.prepare
    end
  end
  return program
end

return setmetatable(pass, { __call = function(_, ...) return pass.run(...) end })
