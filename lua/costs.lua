-- SPDX-License-Identifier: Apache-2.0
--- What a layer must move between the core and memory beyond its L2 cache: a lower bound, each thing once a call.
--   weights   of the layer's segment, one bank, and the table of dense positions where the layer takes it
--   read      buffers that an earlier step wrote, and the image at the model's size
--   written   buffers that a later step reads, or that are results
--   spilled   scratch larger than L2, what cores share and what each has: written once and read once
-- A buffer of at most half of L2 is where its reader finds it: nothing moves. Rows count with the padding between them.
-- What the decoder's first layer finds ready, for prompts without a mask, counts where it is made: its weights, positions and keys.
-- Not counted: weights read again for every block of tokens or by every core, scratch used again for every block or head, lines
-- fetched only to be overwritten. What a layer does of that makes it slower than its bound. Relies on: schedule and memory.
local layer_kinds = require "layer_kinds"

local costs = {}

-- What layers find and leave as it is. Everything else that outlives a layer counts as written by it.
local ONLY_READ = { dense_prompt = { embedding = true, tokens = true }, token_self_attention = { tokens = true },
  token_to_image = { keys = true, tokens = true, ready_keys = true }, image_to_token = { queries = true, tokens = true, ready_queries = true },
  heads = { queries = true }, masks = { keys = true, hyper = true } }

-- What layers fill without a look at what earlier steps left there.
local ONLY_WRITTEN = { dense_prompt = { keys = true } }

-- Roles of the weights that make what can be ready; buffers that are then not read, and whether scratch for it goes unused.
local READY = { token_to_image = { roles = { k = true, k_bias = true, v = true, v_bias = true }, buffers = { keys = true }, scratch = true },
  image_to_token = { roles = { q = true, q_bias = true }, buffers = {}, scratch = false } }

-- Decoder steps work on one slice of what holds all.
local A_SLICE = { dense_prompt = { embedding = true }, token_to_image = { ready_keys = true }, image_to_token = { ready_queries = true } }

-- Bytes of the parts of a segment, once each, for which `counts` is true.
local function parts(segment, counts)
  local bytes = 0
  for _, part in ipairs(segment.parts) do
    if counts(part.role) then bytes = bytes + (part.floats + 15) // 16 * 64 end
  end
  return bytes
end

-- What is made ready once an encode: from embedding and "no mask" the first image tokens, from them keys, values and queries.
local function prepared(L, build, t, moved)
  local dense, slices = L.uses[1], build.model.depth
  t.weights = t.weights + parts(dense.segment, function(role) return role == "no_mask" end) + build.tables.position:floats(1) * 4
  for i = 2, #L.uses do
    local ready = READY[L.uses[i].kind]
    t.weights = t.weights + parts(L.uses[i].segment, function(role) return ready.roles[role] end)
  end
  t.read = t.read + moved(dense.buffers.embedding * 4)
  t.spilled = t.spilled + 2 * slices * moved(dense.buffers.keys * 4)
end

--- Bytes by what they are: { weights, read, written, spilled }.
-- @param L a layer of build.graph.fused  @param build what compiler.schedule gives
function costs.traffic(L, build)
  layer_kinds.of(L.kind, ("costs: layer %s"):format(L.name))
  local l2, buffers = build.board.caches.l2, build.graph.memory.by_name
  local slices, size = build.model.depth, build.model.image_size
  local function moved(bytes) return bytes > l2 // 2 and bytes or 0 end
  local ready = L.ready and L.ready.buffer and READY[L.kind]
  local t = { weights = parts(L.segment, function(role) return not (ready and ready.roles[role]) end), read = 0, written = 0, spilled = 0 }
  if L.position and not ready then t.weights = t.weights + build.tables.position:floats(1) * 4 end
  if L.image then t.read = slices * size * size * 3 end
  for name, floats in pairs(L.buffers) do
    local buffer = buffers[name]
    local bytes = moved(floats * 4 // (A_SLICE[L.kind] and A_SLICE[L.kind][name] and slices or 1))
    local only_read = ONLY_READ[L.kind] and ONLY_READ[L.kind][name]
    local unread = ONLY_WRITTEN[L.kind] and ONLY_WRITTEN[L.kind][name] or ready and ready.buffers[name]
    if buffer.first < L.step and not unread then t.read = t.read + bytes end
    if buffer.last > L.step and not only_read then t.written = t.written + bytes end
  end
  local shared, own = (L.shared - (ready and ready.scratch and L.ready.floats or 0)) * 4, L.own * 4
  if shared > l2 then t.spilled = 2 * shared end
  if own > l2 then t.spilled = t.spilled + 2 * (L.scratch - L.shared) * 4 end
  if L.uses then prepared(L, build, t, moved) end
  return t
end

--- The sum of costs.traffic: bytes moved by one call of a layer.
function costs.bytes(L, build)
  local t = costs.traffic(L, build)
  return t.weights + t.read + t.written + t.spilled
end

return costs
