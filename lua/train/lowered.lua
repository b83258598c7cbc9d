-- SPDX-License-Identifier: Apache-2.0
--- A training network lowered for a board: its layers as steps, what is in the arena beside them, and where.

local expand = require "graph.passes.expand"
local kernels = require "kernels.kernels"
local network = require "train.network"
local ops = require "graph.ops"
local order = require "lower.plain.order"
local program = require "lower.plain.program"
local recompute = require "lower.plain.recompute"
local ssa = require "graph.ssa"
local tokens = require "networks.tokens"

local lowered = {}

-- Rows of a strip at most: what is wide stays in the second-level cache.
local function strip_rows(board) return board.caches.l2 >= 512 * 1024 and 64 or 32 end

local function is_picture(op) return op.kind == "conv" and op.sums == "channel" end

-- The nest that takes the picture, where no gradient passes it.
local function nest_of(one)
  for _, op in ipairs(one.ops) do
    if is_picture(op) then
      local fits = require("kernels.nests.image")
      for _, nest in ipairs(fits) do
        if nest.name == "image" then return nest end
      end
    end
  end
end

-- Parameters in the order of the network's list, as values of its graph.
local function parameters_of(net)
  local by_name, list, gradients = {}, {}, {}
  for _, op in ipairs(net.graph.values) do
    if op.kind == "parameter" then by_name[op.name] = op end
  end
  for i, one in ipairs(net.parameters) do
    list[i] = by_name[one.name]
    gradients[list[i]] = net.graph.outputs[network.gradient(one.name)]
  end
  return list, gradients
end

-- Buffers that the session's own functions read and write, alive where they do.
local function outside(made, model, options)
  local values, g, last = made.values, made.graph, {}
  local first = {}
  for _, one in ipairs(made.groups) do
    first[one.phase] = first[one.phase] or one.first
    last[one.phase] = one.last
  end
  local function at(moment, build)
    values.moment = moment
    return build()
  end
  local stop = values.moment + 1
  local decode, loss = first.decode, last.decode
  local side, masks = 4 * model.grid, model.decoder.masks
  local ends = last.decode_backward or loss
  at(decode - 1, function()
    for _, name in ipairs { "token_features", "token_index", "mask_prompt" } do
      if g.inputs[name] and values.buffers[name] then values:whole(g.inputs[name]) end
    end
  end)
  -- Prompts follow one another: what they begin from is there until the last one's gradients are.
  for _, name in ipairs { "embedding", "dembedding" } do
    local made_buffer = values.buffers[name]
    if made_buffer then
      at(decode, function() values:touch(made_buffer) end)
      at(ends, function() values:touch(made_buffer) end)
    end
  end
  at(loss, function()
    values:whole(g.outputs.logits)
    values:whole(g.outputs.scores)
    if g.inputs.dlogits then values:whole(g.inputs.dlogits) end
    values:buffer("diou", kernels.round16(masks))
  end)
  at(loss + 1, function()
    values:whole(g.outputs.logits)
    values:whole(g.outputs.scores)
  end)
  made.loss_bytes = 64 * masks + 32 * options.target_side + 8 * side + 64
  at(loss, function() values:buffer("loss_work", made.loss_bytes // 4 + 16) end)
  values.moment = stop
  local elements = math.max(made.trained.elements, 16)
  values:buffer("first", elements, nil, true)
  values:buffer("second", elements, nil, true)
  made.slots = options.batch > 1 and math.ceil(math.log(options.batch, 2)) or 0
  if made.slots > 0 then values:buffer("slots", made.slots * elements, nil, true) end
  made.prompt_rows = 2 + 5 + 1 + masks
  values:buffer("prompt_table", made.prompt_rows * model.out, nil, true)
end

--- Lower a network for a board.
-- @param net network.of's @param model its description @param board
-- @param options { cores, batch, target_side, kernels, keep: recompute.lua's, apart: program.arrange's }
-- @return program.lower's, with memory, graph, macs
function lowered.of(net, model, board, options)
  local g = net.graph
  expand(g, { all = true, keep = is_picture })
  local parameters, gradients = parameters_of(net)
  local outputs = g.outputs
  net.outputs = outputs
  g.outputs = { embedding = outputs.embedding, logits = outputs.logits, scores = outputs.scores }
  local made = program.lower({ graph = g, model = model, gradients = gradients, parameters = parameters,
    dembedding = outputs.dembedding, nest = nest_of }, { kernels = options.kernels, cores = options.cores,
    strip_rows = strip_rows(board), keep = options.keep })
  made.graph = g
  outside(made, model, options)
  made.memory = program.arrange(made, options.apart)
  made.macs, made.macs_again = 0, 0
  for _, one in ipairs(made.groups) do
    one.macs = 0
    for _, op in ipairs(one.ops) do
      local macs = ops.table[op.kind].macs(op, ssa.by_role(op))
      one.macs = one.macs + macs
      if op.again then made.macs_again = made.macs_again + macs end
    end
    made.macs = made.macs + one.macs
  end
  return made
end

lowered.recompute, lowered.order, lowered.tokens = recompute, order, tokens

return lowered
