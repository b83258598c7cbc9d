-- SPDX-License-Identifier: Apache-2.0
--- What a layer must move between the core and memory beyond its L2 cache: a lower bound, each thing once a call, read
-- off its step.
--   weights   of the layer's segment that the step reads, one bank, and the table of dense positions where it takes it
--   again     the same as often as calls of kernels read them: what no cache keeps comes so often
--   read      buffers that an earlier step wrote, and the image at the model's size
--   written   buffers that a later step reads, or that are results
--   spilled   scratch larger than L2, what cores share and what each has: written once and read once
-- A buffer of at most half of L2 is where its reader finds it: nothing moves. Rows count with the padding between them.
-- What the decoder's first layer finds ready, for prompts without a mask, counts where it is made: its weights,
-- positions and keys. Not counted: scratch used again for every strip or head, lines fetched only to be overwritten.
-- Relies on: lowering and memory.
local types = require "graph.types"
local work = require "estimate.work"

local costs = {}

-- What a step reads and writes: parts by role with how often, buffers and arguments.
local function touched(step, build)
  local t = { parts = {}, read = {}, written = {}, arguments = {} }
  local kernels = build.kernels
  local function take(view, parameter, trips)
    local storage = view.storage
    if storage.kind == "part" then t.parts[storage.name] = (t.parts[storage.name] or 0) + trips
    elseif storage.kind == "local" then
      -- Where it may be ready, it is.
      take({ storage = storage.of[1] }, parameter, trips)
    elseif storage.kind == "argument" then t.arguments[storage.name] = storage
    elseif storage.kind == "buffer" then
      if parameter.const or not parameter.fresh then t.read[storage.name] = true end
      if not parameter.const then t.written[storage.name] = true end
    end
  end
  -- Views of a proc's parameters are those that it is called with.
  local function resolve(view, given)
    return given and given[view.storage] and { storage = given[view.storage].storage } or view
  end
  work.walk(step, build.graph.click_tokens, function(node, trips, _, given, units)
    local each = units and units.units.apart and trips / units.units.count or trips
    if node.node == "call" then
      local signature = kernels:signature(node.name)
      for i, argument in ipairs(node.arguments) do
        if type(argument) == "table" and argument.storage then take(resolve(argument, given), signature[i], each) end
      end
    elseif node.node == "copy" or node.node == "assign" then
      take(resolve(node.from, given), { const = true }, trips)
      take(resolve(node.to, given), { fresh = true }, trips)
    elseif node.node == "zero" then take(resolve(node.view, given), { fresh = true }, trips)
    elseif node.node == "c" then
      for _, view in ipairs(node.views) do take(view, { const = true }, trips) end
    end
  end)
  return t
end

-- Bytes of a segment's parts that a step reads: once, and as often as it does. What it never names but for a head's
-- number counts with the head that it names.
local function weights_of(segment, t)
  local once, again = 0, 0
  for _, part in ipairs(segment.parts) do
    local trips = t.parts[part.role]
    if not trips then
      -- A part that stands for others by its number, as a head's and a piece's do.
      local base = part.role:match "^(.*)_%d+$"
      trips = base and t.parts[base .. "_0"] and 0 or nil
    end
    if trips then
      local bytes = types.lines(part.bytes)
      once, again = once + bytes, again + trips * bytes
    end
  end
  return once, math.max(once, again)
end

local function spilled(L, l2)
  local ready = L.ready and L.ready.buffer and L.ready.scratch and L.ready.bytes or 0
  local shared, own, sum = L.shared - ready, L.own, 0
  if shared > l2 then sum = 2 * shared end
  if own > l2 then sum = sum + 2 * (L.scratch - L.shared) end
  return sum
end

-- Bytes of a slice of what is given by a pointer: the embedding, or what was made ready.
local function given_bytes(L, name, build)
  local slices, buffers = build.model.depth, build.graph.memory.by_name
  if name == "embedding" then return buffers.embedding.bytes // slices end
  if name == "ready" and L.ready and L.ready.buffer then return buffers[L.ready.buffer].bytes // slices end
  return 0
end

-- What is made ready once an encode: from embedding and "no mask" the first image tokens, from them what is the
-- image's.
local function prepared(L, build, moved)
  local t = { weights = build.tables.position:bytes(1), again = 0, read = 0, written = 0, spilled = 0 }
  local slices, buffers = build.model.depth, build.graph.memory.by_name
  for _, used in ipairs(L.uses) do
    t.weights = t.weights + weights_of(used.segment, touched(used == L.dense and used.lowered or used.prepare, build))
  end
  t.again = t.weights
  t.read = moved(buffers.embedding.bytes)
  t.spilled = L.dense and 2 * slices * moved(L.dense.buffers.keys) or 0
  for name in pairs(L.buffers) do t.written = t.written + moved(buffers[name].bytes) end
  return t
end

--- Bytes by what they are: { weights, again, read, written, spilled }.
-- @param L a layer of build.graph.fused  @param build what compiler.schedule gives
function costs.traffic(L, build)
  local l2, buffers = build.board.caches.l2, build.graph.memory.by_name
  local slices, size = build.model.depth, build.model.image_size
  local function moved(bytes) return bytes > l2 // 2 and bytes or 0 end
  if L.uses then return prepared(L, build, moved) end
  local used = touched(L.lowered, build)
  local t = { read = 0, written = 0, spilled = spilled(L, l2) }
  t.weights, t.again = weights_of(L.segment, used)
  if used.arguments.position then
    t.weights, t.again = t.weights + build.tables.position:bytes(1), t.again + build.tables.position:bytes(1)
  end
  if L.lowered.returns then t.read = slices * size * size * 3 end
  for name in pairs(used.arguments) do t.read = t.read + moved(given_bytes(L, name, build)) end
  for name in pairs(L.buffers) do
    local buffer = buffers[name]
    local bytes = moved(buffer.bytes)
    if used.read[name] and buffer.first < L.step then t.read = t.read + bytes end
    if used.written[name] and buffer.last > L.step then t.written = t.written + bytes end
  end
  return t
end

--- Bytes moved by one call of a layer.
function costs.bytes(L, build)
  local t = costs.traffic(L, build)
  return t.weights + t.read + t.written + t.spilled
end

return costs
