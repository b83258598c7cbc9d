-- SPDX-License-Identifier: Apache-2.0
--- Weights that are fetched while the layer before works (weights = "stream"): what is fetched in which order, and
-- where it goes.
-- An item is a run of bytes of the blob: a layer's segment, or the tables of positions and prompt tokens, which stay to
-- the end.
-- Segments go to two buffers in turn, so that an item's buffer is free while the one before is in use. A segment larger
-- than the build allows a buffer to be comes in pieces, in the order of their use; a layer's first one, of norms and
-- biases, has a place of its own.
local stream = {}

-- gen/formats/blob.c: header and segment table, which opening fetches.
stream.HEADER_BYTES = 4096

--- The items of a list of layers, in order: { layer =, piece = number, shift = bytes from the segment's start,
-- bytes =, buffer = 0, 1, "tables" or "held NAME" }.
-- @param layers of one phase  @param graph scheduled
local function items(layers, graph)
  local list, count, banks = {}, 0, #graph.models
  for _, L in ipairs(layers) do
    local pieces = L.segment.pieces
    local order = pieces and L.segment:order() or { 1 }
    -- What is held comes behind the first piece: so it is the small one of the two that nothing hides.
    if pieces and pieces[1].held then order[1], order[2] = 2, 1 end
    for _, i in ipairs(order) do
      local held = pieces and pieces[i].held
      list[#list + 1] = { layer = L, piece = pieces and i, shift = pieces and pieces[i].first or 0, bytes = pieces
        and L.segment:piece_bytes(i) or L.segment:bytes(banks),
        buffer = held and "held " .. L.name or count % 2 }
      if not held then count = count + 1 end
    end
    if L.phase == "encode" and not L.uses and L.buffers.embedding then
      list[#list + 1] = { bytes = graph.tables.position:bytes(banks) + graph.tables.prompt:bytes(banks),
        buffer = "tables" }
    end
  end
  return list
end

-- Bytes of the two buffers: each as large as the largest item that it gets.
local function buffers(list, least)
  local sizes = { [0] = least, [1] = least }
  for _, item in ipairs(list) do
    if sizes[item.buffer] then sizes[item.buffer] = math.max(sizes[item.buffer], item.bytes) end
  end
  return sizes
end

local function sizes_exceed(item, graph)
  return graph.stream_buffer and type(item.buffer) == "number" and item.bytes > graph.stream_buffer
end

--- Both phases of a graph's layers: { encode = { items =, sizes = }, decode = ..., tables = bytes, largest = the
-- largest item beyond what a buffer may be, or nil }.
-- @param layers all of them, in order
function stream.phases(layers, graph)
  local encode, decode, list = {}, {}, nil
  list = encode
  for _, L in ipairs(layers) do
    if L.phase == "decode" then list = decode end
    list[#list + 1] = L
  end
  local phases = {}
  for phase, part in pairs { encode = encode, decode = decode } do
    local all = items(part, graph)
    phases[phase] = { items = all, sizes = buffers(all, phase == "encode" and stream.HEADER_BYTES or 0) }
    for _, item in ipairs(all) do
      if item.buffer == "tables" then phases.tables = item.bytes end
      if sizes_exceed(item, graph) and (not phases.largest or item.bytes > phases.largest.bytes) then
        phases.largest = item
      end
    end
  end
  return phases
end

--- Name of a phase's buffer in the layout of memory.
function stream.name(phase, buffer)
  return type(buffer) == "string" and buffer or ("weights %s %d"):format(phase, buffer)
end

--- Once the blob is written and memory planned: items get `offset` in the blob, and `to`, bytes from the arena's start;
-- each layer `item`, its number in its phase.
function stream.place(graph, blob, banks)
  for _, phase in ipairs { "encode", "decode" } do
    for i, item in ipairs(graph.stream[phase].items) do
      item.offset = item.layer and item.layer.weights_at + item.shift or blob.places.position
      item.to = graph.memory.by_name[stream.name(phase, item.buffer)].offset
      if item.layer then item.layer.item = item.layer.item or i end
      if not item.layer and blob.places.prompt ~= blob.places.position + graph.tables.position:bytes(banks) then
        error "the tables do not follow each other"
      end
    end
  end
  if blob.segments[1].offset ~= stream.HEADER_BYTES then
    error(("the blob's header has %d bytes"):format(blob.segments[1].offset))
  end
end

--- Bytes that a phase fetches.
function stream.bytes(phase)
  local sum = 0
  for _, item in ipairs(phase.items) do sum = sum + item.bytes end
  return sum
end

return stream
