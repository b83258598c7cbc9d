-- SPDX-License-Identifier: Apache-2.0
--- A training graph as a program: groups in the order of their phases, what is kept of the forward pass and what is
-- computed again, where everything is in the arena.
--
-- Phases: encode, decode (once a prompt and slice), decode_backward (likewise), encode_backward; of pre-training the
-- first and the last. All gradients of an
-- image begin as zeros; those of the decoder are added up over prompts, in their order.

local cores_of = require "schedule.split"
local group = require "lower.group"
local kernels = require "kernels.kernels"
local memory = require "schedule.memory"
local ops = require "graph.ops"
local order = require "lower.plain.order"
local plain = require "lower.plain.lower"
local recompute = require "lower.plain.recompute"
local ssa = require "graph.ssa"
local types = require "graph.types"
local values_of = require "lower.plain.values"

local program = {}

local PHASES = { "encode", "decode", "decode_backward", "encode_backward" }

local RANK = {}
for i, phase in ipairs(PHASES) do RANK[phase] = i end

-- The phases that inputs belong to, "decode" where nothing is said.
local OF_INPUT = { image = "encode", patches = "encode", partner_patches = "encode", index = "encode",
  back = "encode", shares = "encode", dlogits = "decode_backward", diou = "decode_backward",
  dembedding = "encode_backward", dprediction = "encode_backward" }

-- The phase of a group, by what it depends on: the last of its inputs'.
local function phase_of(list, dependence)
  local last = "encode"
  for _, op in ipairs(list) do
    for name in pairs(dependence[op] or {}) do
      local phase = OF_INPUT[name] or "decode"
      if RANK[phase] > RANK[last] then last = phase end
    end
  end
  return last
end

-- Whether a nest takes the picture as it is given: a convolution of it that no gradient passes.
local function takes_picture(groups, image)
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do
      if op.inputs[1] == image then return op.kind == "conv" end
    end
  end
end

--- The groups of a graph in the order of their phases: { label, phase, ops }. Only what the wanted values need is in
-- them. @param wanted set of values
local function groups_of(graph, wanted)
  local needed, list, by_label, dependence = {}, {}, {}, group.dependence(graph)
  for value in pairs(wanted) do needed[value] = true end
  for i = #graph.values, 1, -1 do
    local op = graph.values[i]
    if needed[op] then
      for _, x in ipairs(op.inputs) do needed[x] = true end
    end
  end
  for _, op in ipairs(graph.values) do
    if needed[op] and not order.OUTSIDE[op.kind] then
      local one = by_label[op.label]
      if not one then
        one = { label = op.label, ops = {}, at = #list + 1 }
        by_label[op.label], list[#list + 1] = one, one
      end
      one.ops[#one.ops + 1] = op
    end
  end
  for _, one in ipairs(list) do one.phase = phase_of(one.ops, dependence) end
  local image = graph.inputs.image
  if image and needed[image] and not by_label.pixels and not takes_picture(list, image) then
    table.insert(list, { label = "pixels", ops = {}, outputs = { image }, phase = "encode", at = 0 })
  end
  table.sort(list, function(a, b)
    if RANK[a.phase] ~= RANK[b.phase] then return RANK[a.phase] < RANK[b.phase] end
    return a.at < b.at
  end)
  return list
end

-- The values that a program is for.
local function wanted_of(training)
  local wanted = {}
  for _, value in pairs(training.graph.outputs) do wanted[value] = true end
  for _, value in pairs(training.gradients) do wanted[value] = true end
  if training.dembedding then wanted[training.dembedding] = true end
  return wanted
end

--- The trained tensors one behind the other: { list = { { value, name, shape, rows, width, stride, at } }, elements }.
function program.trained(parameters)
  local at, list = 0, {}
  for i, value in ipairs(parameters) do
    local rows, width = order.rows(value), order.width(value)
    if #value.shape == 1 then rows, width = 1, value.shape[1] end
    local stride = rows == 1 and kernels.round16(width) or kernels.stride(width)
    list[i] = { value = value, name = value.name, shape = value.shape, rows = rows, width = width, stride = stride,
      at = at }
    at = at + rows * stride
  end
  return { list = list, elements = at }
end

-- Who uses each value, in groups; and the values that are needed beyond the stage that makes them.
local function needs_of(groups, wanted)
  local users, stage_of, whole = {}, {}, {}
  for value in pairs(wanted) do value.wanted = true end
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do
      for _, x in ipairs(op.inputs) do
        users[x] = users[x] or {}
        table.insert(users[x], op)
      end
    end
  end
  for _, one in ipairs(groups) do
    one.stages = order.stages(one.ops, users)
    for _, stage in ipairs(one.stages) do
      for _, op in ipairs(stage.ops) do stage_of[op] = stage end
    end
  end
  -- Of a view its input is needed.
  local function need(value)
    if whole[value] then return end
    whole[value] = true
    if value.kind == "reshape" or order.is_view(value) or order.is_virtual(value, users) then need(value.inputs[1]) end
  end
  for value in pairs(wanted) do need(value) end
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do
      for i, x in ipairs(op.inputs) do
        local stage = stage_of[op]
        local strip = stage and stage.kind == "rows" and stage_of[x] == stage and op.roles[i] ~= "w"
        if not strip then need(x) end
      end
    end
  end
  return users, whole
end

-- Gradients of what the decoder trains, and of the embedding, are added to what is there.
local function accumulate(lower, sinks, depth)
  local function add(from, to, rows, width)
    lower:rows(rows, function(body, t, count)
      body:call(lower.K:rows("add", { rows = count, C = width, ldx = from:ld(), ldy = to:ld() }), from:row(t),
        to:row(t))
    end)
  end
  for _, sink in ipairs(sinks) do
    local to
    if sink.one then to = lower.values:gradient(sink.one)
    else
      to = lower.values:whole(sink.input)
      if depth > 1 then to = to + lower.step:number "slice" * (order.rows(sink.value) * to:ld()) end
    end
    add(lower.values:whole(sink.value), to, order.rows(sink.value), order.width(sink.value))
  end
end

-- Gradients of the encoder that were made elsewhere than where they are wanted.
local function copied(lower, sinks)
  for _, sink in ipairs(sinks) do
    local from, to = lower.values:whole(sink.value), lower.values:gradient(sink.one)
    lower:parted { { variable = "t", to = sink.one.rows, of = "rows", build = function(body, t)
      body:copy(to:row(t), from:row(t), sink.one.width)
    end } }
  end
end

-- Sinks of the two backward phases: those of the decoder are added, those of the encoder made in place where they can.
local function sinks_of(training, groups, trained, users, values)
  local phase, decoder, encoder = {}, {}, {}
  for _, one in ipairs(groups) do
    for _, op in ipairs(one.ops) do phase[op] = one.phase end
  end
  for _, one in ipairs(trained.list) do
    local value = training.gradients[one.value]
    if value then
      if phase[value] == "decode_backward" then decoder[#decoder + 1] = { value = value, one = one }
      elseif users[value] or order.is_view(value) or value.kind == "reshape" or values.sink[value] then
        encoder[#encoder + 1] = { value = value, one = one }
      else values.sink[value] = one end
    end
  end
  if training.dembedding then
    decoder[#decoder + 1] = { value = training.dembedding, input = training.graph.inputs.dembedding }
  end
  return decoder, encoder
end

-- Multiply-adds of an operation.
local function macs_of(op)
  return ops.table[op.kind].macs(op, ssa.by_role(op))
end

--- What could be kept of a training graph's forward pass, best first: lower/plain/recompute.lua's candidates, as the
-- places of their operations in the graph, which stay the same when it is made again.
function program.candidates(training)
  local wanted, places, list = wanted_of(training), {}, {}
  for i, op in ipairs(training.graph.values) do places[op] = i end
  for i, one in ipairs(recompute.candidates(groups_of(training.graph, wanted), macs_of)) do
    list[i] = places[one.value]
  end
  return list
end

-- What the decoder begins from is the encoder's result; logits and their gradients lie as the loss has them.
local function name_decoders(values, graph, depth)
  local outputs, inputs = graph.outputs, graph.inputs
  local embedding = outputs.embedding
  while order.is_view(embedding) or order.is_alias(embedding) do embedding = embedding.inputs[1] end
  values.names[embedding] = "embedding"
  values.dense[outputs.logits] = true
  if inputs.image then values.dense[inputs.image], values.names[inputs.image] = true, "pixels" end
  for _, op in ipairs(graph.values) do
    if op.kind == "pixels" then values.dense[op] = true end -- a network that has its picture as a value
  end
  if inputs.dlogits then values.dense[inputs.dlogits] = true end
  if depth > 1 then values.slices[inputs.embedding] = true end
end

--- Lower a training graph.
-- @param training { graph, model, gradients = parameter -> value, dembedding = gradient of the input embedding or nil,
-- parameters = those that train, in order } @param fields { kernels, cores, strip_rows, keep =
-- lower/plain/recompute.lua's choice; draft: places in memory are wanted, and no text }
-- @return { groups = { label, phase, step, macs, at...}, trained, values, memory }
function program.lower(training, fields)
  local graph, trained, wanted = training.graph, program.trained(training.parameters), wanted_of(training)
  local groups = groups_of(graph, wanted)
  local again = recompute.apply(groups, fields.keep, wanted)
  local users, whole = needs_of(groups, wanted)
  local all = {}
  for _, one in ipairs(groups) do table.move(one.ops, 1, #one.ops, #all + 1, all) end
  local values = values_of.new(all, trained)
  if graph.outputs.embedding then name_decoders(values, graph, training.model.depth) end
  local decoder, encoder = sinks_of(training, groups, trained, users, values)
  local lower = plain.new { kernels = fields.kernels, values = values, users = users, whole = whole,
    cores = fields.cores, strip_rows = fields.strip_rows, model = training.model, draft = fields.draft }
  function values.slice() return lower.step:number "slice" end
  local last = {}
  for _, one in ipairs(groups) do last[one.phase] = one end
  for _, one in ipairs(groups) do
    local extra
    if one == last.decode_backward then extra = function(l) accumulate(l, decoder, training.model.depth) end end
    if one == last.encode_backward then extra = function(l) copied(l, encoder) end end
    one.outputs = one.outputs or { one.ops[#one.ops] }
    one.step, one.first, one.last, one.own = lower:group(one, extra, training.nest and training.nest(one))
  end
  return { groups = groups, trained = trained, values = values, again = again, cores = fields.cores }
end

--- Places in the arena. @param how "apart" where nothing takes the place of what is done with: for tests; "bound" where
-- only the least is wanted that they could take
-- @return { buffers, by_name, bytes, bound }
function program.arrange(made, how)
  local apart = how == "apart"
  local list, by_name, last = {}, {}, made.values.moment + 1
  for _, b in ipairs(made.values.buffers) do
    list[#list + 1] = { name = b.name, bytes = b.bytes, first = apart and 0 or b.first,
      last = apart and last or math.min(b.last, last) }
  end
  for _, one in ipairs(made.groups) do
    if one.own > 0 then
      list[#list + 1] = { name = "scratch " .. one.label, bytes = types.lines(one.own) * made.cores, first = one.first,
        last = one.last }
    end
  end
  for _, b in ipairs(list) do by_name[b.name] = b end
  local bytes, bound
  if how == "bound" then bound = memory.bound(list, last) else bytes, bound = memory.arrange(list, last) end
  return { buffers = list, by_name = by_name, bytes = bytes, bound = bound }
end

program.loops = cores_of.loops

return program
