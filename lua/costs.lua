-- SPDX-License-Identifier: Apache-2.0
--- What a layer must move between the core and memory beyond its L2 cache: a lower bound, each thing once a call.
--   weights   of the layer's segment, one bank, and the table of dense positions where the layer takes it
--   read      buffers that an earlier step wrote, and the image at the model's size
--   written   buffers that a later step reads, or that are results
--   spilled   scratch larger than L2: written once and read once
-- A buffer of at most half of L2 is where its reader finds it: nothing moves. Rows count with the padding between them.
-- Not counted: weights read again for every block of tokens, scratch used again for every block or head, lines fetched only to
-- be overwritten. What a layer does of that makes it slower than its bound. Relies on: schedule and memory.
local costs = {}

-- What layers find and leave as it is. Everything else that outlives a layer counts as written by it.
local ONLY_READ = { dense_prompt = { embedding = true, tokens = true }, token_self_attention = { tokens = true }, token_to_image = { keys = true, tokens = true },
  image_to_token = { queries = true, tokens = true }, heads = { queries = true }, masks = { keys = true, hyper = true } }

--- Bytes by what they are: { weights, read, written, spilled }.
-- @param L a layer of build.graph.fused  @param build what compiler.schedule gives
function costs.traffic(L, build)
  local l2, buffers = build.board.caches.l2, build.graph.memory.by_name
  local t = { weights = L.segment:floats(1) * 4, read = 0, written = 0, spilled = 0 }
  if L.position then t.weights = t.weights + build.tables.position:floats(1) * 4 end
  local slices, size = build.model.depth, build.model.image_size
  if L.image then t.read = slices * size * size * 3 end
  for name, floats in pairs(L.buffers) do
    local buffer = buffers[name]
    -- The decoder works on one slice of the embedding.
    local bytes = floats * 4 // (name == "embedding" and L.kind == "dense_prompt" and slices or 1)
    if bytes > l2 // 2 then
      local only_read = ONLY_READ[L.kind] and ONLY_READ[L.kind][name]
      if buffer.first < L.step then t.read = t.read + bytes end
      if buffer.last > L.step and not only_read then t.written = t.written + bytes end
    end
  end
  if L.scratch * 4 > l2 then t.spilled = 2 * L.scratch * 4 end
  return t
end

--- The sum of costs.traffic: bytes moved by one call of a layer.
function costs.bytes(L, build)
  local t = costs.traffic(L, build)
  return t.weights + t.read + t.written + t.spilled
end

return costs
