-- SPDX-License-Identifier: Apache-2.0
--- A training network lowered for a board: its layers as steps, what is in the arena beside them, and where.

local expand = require "graph.passes.expand"
local fail = require "support.fail"
local image = require "kernels.nests.image"
local kernels = require "kernels.kernels"
local network = require "train.network"
local ops = require "graph.ops"
local preparation = require "import.preparation"
local program = require "lower.plain.program"
local ssa = require "graph.ssa"
local types = require "graph.types"

local lowered = {}

-- Rows of a strip at most: many share a weight's way to the core, few leave room for it in a small cache.
local function strip_rows(board) return board.caches.l2 >= 512 * 1024 and 256 or 32 end

local function is_picture(op) return op.kind == "conv" and op.sums == "channel" end

-- The nest that takes the picture: with the patch embedding, where no gradient passes it, or its pixels alone.
local function nest_of(one)
  local name = one.label == "pixels" and "pixels" or nil
  for _, op in ipairs(one.ops) do
    if is_picture(op) then name = "image" end
  end
  for _, nest in ipairs(name and image or {}) do
    if nest.name == name then return nest end
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

-- Moments that phases begin and end at.
local function moments_of(made)
  local first, last = {}, {}
  for _, one in ipairs(made.groups) do
    first[one.phase] = first[one.phase] or one.first
    last[one.phase] = one.last
  end
  return first, last
end

-- What a body says of memory is of a moment.
local function at(made, moment, build)
  made.values.moment = moment
  return build()
end

-- What the patches of a picture are made with, where they are floats: before the first layer.
local function picture_outside(made, model)
  local values, g = made.values, made.graph
  local how, size = preparation.resamplings[model.resampling], model.image_size
  if not g.inputs.patches then return end
  at(made, 0, function()
    for _, name in ipairs { "patches", "partner_patches" } do
      if g.inputs[name] then values:whole(g.inputs[name]) end
    end
    local row = types.base(types.lines(4 * 3 * size))
    made.image_work = { row = 768, resizer = 768 + row,
      resizing = how.bytes and types.lines(math.max(how.bytes(size), 8)) or 0 }
    values:buffer("image_work", 768 + row + types.base(made.image_work.resizing))
  end)
end

-- Buffers that prompts and losses read and write, alive where they do.
local function prompts_outside(made, model, options)
  local values, g = made.values, made.graph
  local first, last = moments_of(made)
  local decode, loss = first.decode, last.decode
  local side, masks = 4 * model.grid, model.decoder.masks
  local ends = last.decode_backward or loss
  at(made, decode - 1, function()
    for _, name in ipairs { "token_features", "token_index", "text", "mask_prompt" } do
      if g.inputs[name] and values.buffers[name] then values:whole(g.inputs[name]) end
    end
  end)
  -- Prompts follow one another: what they begin from is there until the last one's gradients are.
  for _, name in ipairs { "embedding", "dembedding" } do
    local made_buffer = values.buffers[name]
    if made_buffer then
      at(made, decode - 1, function() values:touch(made_buffer) end)
      at(made, ends, function() values:touch(made_buffer) end)
    end
  end
  at(made, loss, function()
    values:whole(g.outputs.logits)
    values:whole(g.outputs.scores)
    if g.inputs.dlogits then values:whole(g.inputs.dlogits) end
    values:buffer("diou", kernels.round16(masks))
  end)
  at(made, loss + 1, function()
    values:whole(g.outputs.logits)
    values:whole(g.outputs.scores)
  end)
  made.loss_bytes = 64 * masks + 32 * options.target_side + 8 * side + 64
  at(made, loss, function() values:buffer("loss_work", made.loss_bytes // 4 + 16) end)
end

-- Buffers of a pass of pre-training: what was chosen; between forward and backward the prediction and its gradient.
local function pass_outside(made)
  local values, g = made.values, made.graph
  local _, last = moments_of(made)
  at(made, 0, function()
    for _, name in ipairs { "index", "back", "shares" } do
      if g.inputs[name] then values:whole(g.inputs[name]) end
    end
  end)
  for moment = last.encode, last.encode + 1 do
    at(made, moment, function()
      values:whole(g.outputs.prediction)
      values:whole(g.inputs.dprediction)
      if values.buffers.patches then values:touch(values.buffers.patches) end
    end)
  end
end

-- Buffers that the session's own functions read and write, alive where they do.
local function outside(made, model, options)
  local values, stop = made.values, made.values.moment + 1
  picture_outside(made, model)
  if made.graph.outputs.prediction then pass_outside(made) else prompts_outside(made, model, options) end
  values.moment = stop
  local elements = math.max(made.trained.elements, 16)
  values:buffer("first", elements, nil, true)
  values:buffer("second", elements, nil, true)
  made.slots = options.batch > 1 and math.ceil(math.log(options.batch, 2)) or 0
  if made.slots > 0 then values:buffer("slots", made.slots * elements, nil, true) end
  made.prompt_rows = 2 + 5 + 1 + model.decoder.masks + (model.projection and 1 or 0)
  if not made.graph.outputs.prediction then
    values:buffer("prompt_table", made.prompt_rows * model.out, nil, true)
  end
end

-- Whether a nest may take the picture's convolution with what follows it in its layer: nothing of that trains.
local function frozen_picture(net)
  local trained, layers = {}, {}
  for _, one in ipairs(net.parameters) do trained[one.name] = true end
  for _, op in ipairs(net.graph.values) do
    for _, x in ipairs(op.inputs) do
      if x.kind == "parameter" and trained[x.name] then layers[op.label] = true end
    end
  end
  return function(op) return is_picture(op) and not layers[op.label] end
end

-- A network as lower/plain/program.lua takes it.
local function training_of(net, model)
  expand(net.graph, { all = true, keep = frozen_picture(net) })
  -- Rows of zeros have one name, and are of several widths.
  for _, op in ipairs(net.graph.values) do
    if op.kind == "constant" and op.name == "zero" then op.name = ("zero_%d"):format(op.shape[#op.shape]) end
  end
  local parameters, gradients = parameters_of(net)
  local outputs = net.graph.outputs
  net.outputs = outputs
  net.graph.outputs = { embedding = outputs.embedding, logits = outputs.logits, scores = outputs.scores,
    prediction = outputs.prediction }
  return { graph = net.graph, model = model, gradients = gradients, parameters = parameters,
    dembedding = outputs.dembedding, nest = nest_of }
end

local function lower(training, model, board, options)
  local made = program.lower(training, { kernels = options.kernels, cores = options.cores,
    strip_rows = strip_rows(board), keep = options.keep, draft = options.draft })
  made.graph = training.graph
  outside(made, model, options)
  made.memory = program.arrange(made, options.arrange or options.apart and "apart")
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

-- Kernels by name alone.
local function draft_of(set)
  local draft = setmetatable({ draft = true }, { __index = set })
  draft.make = function(_, _, name) return name end
  draft.gemm = function() return "msa_gemm", 0 end
  return draft
end

-- Values of a graph by their places in it, as a predicate.
local function at_places(graph, set)
  local values = {}
  for i, op in ipairs(graph.values) do values[op] = set[i] end
  return function(value) return values[value] or false end
end

-- The bytes of an arena in which so many of a list are kept, all values where count is nil. @param how the arrangement
-- @return these; places of what is kept; multiply-adds, and those of them that are done again
local function tried(again, model, board, options, how, list, count)
  local training, set = training_of(again(), model), {}
  for i = 1, count or 0 do set[list[i]] = true end
  local made = lower(training, model, board, setmetatable({ draft = true, arrange = how, keep = count
    and at_places(training.graph, set), kernels = draft_of(options.kernels) }, { __index = options }))
  return how == "bound" and made.memory.bound or made.memory.bytes, set, made.macs, made.macs_again
end

--- What keeping costs, from nothing of the forward pass to all of it.
-- @return list of { kept, of: how many of the values that are worth keeping, bytes: lower bound of the arena, macs,
-- again: multiply-adds of an image and a prompt, and those of them that are done again }
function lowered.choices(again, model, board, options)
  local list, rows = program.candidates(training_of(again(), model)), {}
  for quarter = 0, 4 do
    local count = #list * quarter // 4
    local bytes, _, macs, macs_again = tried(again, model, board, options, "bound", list, quarter < 4 and count or nil)
    rows[#rows + 1] = { kept = count, of = #list, bytes = bytes, macs = macs, again = macs_again }
  end
  return rows
end

--- How much of the forward pass is kept under a limit: as many as fit of what program.candidates lists.
-- @param again function() -> the network anew, since lowering changes its graph @param limit bytes of the arena
-- @return { set = places of what is kept, nil: all is, kept, of: how many of how many, least, most: bytes of an arena
-- that keeps nothing, and all }
local function choose(again, model, board, options, limit)
  local list = program.candidates(training_of(again(), model))
  local function bytes(how, count) return tried(again, model, board, options, how, list, count) end
  local choice = { of = #list, least = bytes("bound", 0), most = bytes "bound" }
  if choice.most <= limit and bytes() <= limit then
    choice.kept = #list
    return choice
  end
  local low, high = -1, #list
  while low < high do
    local middle = (low + high + 1) // 2
    if bytes("bound", middle) <= limit then low = middle else high = middle - 1 end
  end
  local size
  repeat
    if low < 0 then
      fail("--arena-limit: expected at least %d bytes, which an arena takes that keeps nothing of the forward pass, "
        .. "found %d", choice.least, limit)
    end
    size, choice.set = bytes(nil, low)
    choice.kept = low
    low = low - math.max(1, low // 64)
  until size <= limit
  return choice
end

--- Lower a network for a board.
-- @param again function() -> the network (network.of's), made anew each time @param model its description @param board
-- @param options { cores, batch, target_side, kernels, arena_limit: bytes, nil: all of the forward pass is kept; keep:
-- recompute.lua's, where no limit says it; apart: program.arrange's }
-- @return program.lower's, with memory, graph, macs, macs_again, net, choice = what was chosen under the limit
function lowered.of(again, model, board, options)
  local net = again()
  local training, keep, choice = training_of(net, model), options.keep, nil
  if options.arena_limit then
    choice = choose(again, model, board, options, options.arena_limit)
    keep = choice.set and at_places(training.graph, choice.set)
  end
  local made = lower(training, model, board, setmetatable({ keep = keep }, { __index = options }))
  made.net, made.choice = net, choice
  return made
end

return lowered
