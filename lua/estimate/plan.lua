-- SPDX-License-Identifier: Apache-2.0
--- What a build will be, before anything is compiled or written: milliseconds, sizes, and the memory in which each
-- thing lands.
local boards = require "target.boards"
local compiler = require "compiler.compiler"
local fail = require "support.fail"
local layout = require "support.layout"
local placement = require "estimate.placement"
local predict = require "estimate.predict"
local stream = require "schedule.fetches"
local types = require "graph.types"

local plan = {}

-- Resolutions above one that fits which are tried as well: the arena need not grow with every step of the grid.
local BEYOND = 16
local MAX_SIDE = 16384

local function source(board) return board.source or ("boards/%s.lua"):format(board.name) end

--- How fast the board's core is: { fma, multiply-adds a second; bandwidth, bytes a second, nil for what each memory
-- says; measured }.
-- Measured in a fraction of a second where the board's code runs on this machine, else by the board's file.
function plan.rates(board)
  local speed = require "msagen.speed"
  local fma = boards.native(board) and speed.fma(board.isa.width, board.arithmetic == "f32-muladd-1")
  if fma then return { fma = fma, bandwidth = speed.read(64 << 20), measured = true } end
  if not board.clock then fail("%s: clock: expected the core's clock in Hz, found none", source(board)) end
  return { fma = board.clock * board.isa.width * board.core.fma_per_cycle, measured = false }
end

-- Milliseconds of all layers, by layer and in sum.
local function times(build, places, rates)
  local core, width = build.board.core, build.board.isa.width
  local cycle = core.fma_per_cycle * width / rates.fma -- what the core's arithmetic makes of it
  local last = build.board.caches.l3 or build.board.caches.l2 or 0
  local layers = {}
  local total = { encode = 0, decode = 0, encode_macs = 0, decode_macs = 0 }
  for i, L in ipairs(build.graph.fused) do
    local decoding = L.phase == "decode"
    local work = predict.layer(L, build)
    local traffic = work.traffic
    local weights_rate, arena_rate = rates.bandwidth or (places.weights or places.arena).bandwidth, rates.bandwidth
      or places.arena.bandwidth
    -- Weights that no cache keeps come as often as they are read.
    local weights = traffic.weights > last and traffic.again or traffic.weights
    local busy = work.busy * cycle
    local moving = weights / weights_rate + (traffic.read + traffic.written + traffic.spilled) / arena_rate
    local other = work.other * cycle
    local slices = decoding and build.model.depth or 1 -- a click is decoded slice by slice
    local phase = decoding and "decode" or "encode"
    layers[i] = { name = L.name, kind = L.kind, phase = phase, macs = L.macs,
      bytes = weights + traffic.read + traffic.written + traffic.spilled,
      ms = 1e3 * slices * (math.max(busy, moving) + other), other_ms = 1e3 * slices * other, bound = moving > busy
        and "memory" or other > busy and "other" or "multiply-adds" }
    total[phase] = total[phase] + layers[i].ms
    -- What is made ready for a click while encoding is the click's, as in the manifest.
    total[phase .. "_macs"] = total[phase .. "_macs"] + (L.uses and 0 or slices * L.macs)
  end
  total.decode_macs = total.decode_macs + build.model.depth * (build.graph.ready_macs or 0)
  return layers, total
end

-- Milliseconds of a layer's call that it works with each of its pieces. What is no multiply-add belongs to the heads,
-- where there are heads: their softmax, norms and moves.
local function piece_times(segment, ms, other)
  local work, sum, heads = {}, 0, 0
  for i, piece in ipairs(segment.pieces) do
    work[i] = piece.held and 0 or piece.work or types.elements(types.BASE, segment:piece_bytes(i))
    sum, heads = sum + work[i], heads + (piece.heads and work[i] or 0)
  end
  local out = {}
  for i, piece in ipairs(segment.pieces) do
    local part = heads == 0 and work[i] / sum or piece.heads and work[i] / heads or 0
    out[i] = (ms - other) * work[i] / sum + other * part
  end
  return out
end

-- Milliseconds that the core works, for each item of a phase, between the moment when it has come, and the next is
-- asked for, and that when the next is needed.
local function working(build, layers, items)
  local times, out = {}, {}
  for i, L in ipairs(build.graph.fused) do
    local slices = layers[i].phase == "decode" and build.model.depth or 1
    local ms, other = layers[i].ms / slices, layers[i].other_ms / slices
    times[L] = L.segment.pieces and piece_times(L.segment, ms, other) or ms
  end
  for i, item in ipairs(items) do
    local time = times[item.layer] or 0 -- the tables: none
    if item.piece then time = time[item.piece] end
    -- What is held comes behind the layer's first piece, which is not worked with before.
    if item.piece and item.layer.segment.pieces[item.piece].held then out[i], out[i - 1] = out[i - 1],
      0 else out[i] = time end
  end
  return out
end

-- What the storage of streamed weights must give so that nobody waits for it: each fetch has as long as the core works
-- with what came before it.
-- A phase's first fetch has nothing before it; and where no multiply-adds are done with what came before, there is a
-- wait.
local function storage(build, layers)
  local out = {}
  for _, phase in ipairs { "encode", "decode" } do
    local items = build.graph.stream[phase].items
    local part = { bytes = 0, waited = 0, rate = 0, fetches = #items, buffers = {} }
    local times, covered, time = working(build, layers, items), 0, 0
    for i, item in ipairs(items) do
      local bytes, ms = item.bytes, i > 1 and times[i - 1] or 0
      part.bytes = part.bytes + bytes
      if ms > 0 then
        covered, time = covered + bytes, time + ms
        local rate = bytes / (ms / 1e3)
        if rate > part.rate then part.rate, part.layer = rate, items[i - 1].layer.name end
      else
        part.waited = part.waited + bytes
      end
    end
    part.mean = covered / (time / 1e3)
    for b = 0, 1 do part.buffers[b + 1] = build.graph.memory.by_name[stream.name(phase, b)].bytes end
    out[phase] = part
  end
  return out
end

-- Whether a device with another field fits its board, and whether the file allows it at all. The code, which hardly
-- changes, is taken as it is.
local function fits_with(device, where, build, code, field, value)
  local other = {}
  for key, given in pairs(device) do other[key] = given end
  other[field] = value
  local ok, result = pcall(compiler.schedule, other, where, true)
  if not ok and not (type(result) == "table" and result.msagen) then error(result, 0) end
  return ok and placement.of(placement.sizes(result, code), boards.memories(build.board), build.board.stack) ~= nil, ok
end

--- The largest resolution at which a device fits its board, by scheduling others: halving between 0 and the one that
-- does not fit, then those a little above what was found, the largest first.
-- @return pixels; or nil, and whether the file allows other resolutions at all
local function largest(device, where, build, code)
  local patch, allowed = build.model.patch, false
  local known = { [build.model.grid] = false }
  local function fits(grid)
    if known[grid] == nil then
      local ok
      known[grid], ok = fits_with(device, where, build, code, "resolution", grid * patch)
      allowed = allowed or ok
    end
    return known[grid]
  end
  local low, high = 0, build.model.grid
  while high - low > 1 do
    local middle = (low + high) // 2
    if fits(middle) then low = middle else high = middle end
  end
  for grid = math.min(low + BEYOND, MAX_SIDE // patch), low + 1, -1 do
    if fits(grid) then return grid * patch end
  end
  if low > 0 then return low * patch end
  return nil, allowed
end

local function describe(memories, stack)
  local list = {}
  for i, memory in ipairs(memories) do
    local reserved = math.max(memory.reserved or 0, placement.may_hold(memory, "arena") and stack or 0)
    list[i] = ("%s of %s%s for %s"):format(memory.name, layout.bytes(memory.bytes), reserved > 0
      and (" less %s"):format(layout.bytes(reserved)) or "", table.concat(memory.holds, ", "))
  end
  return table.concat(list, "; ")
end

--- The plan of a device: { board, model, rates, layers, encode_ms, decode_ms, bytes = { arena, weights, code }, bound,
-- places = thing -> memory }.
-- Where weights are streamed bytes has `stored` for weights, and there is storage = { encode, decode }: bytes a call (a
-- slice, in a volume's decode) and those `waited` for, buffers,
-- the bytes a second that hide all other fetches (`rate`, `layer` being the one at work while it is needed) and what
-- they need on average (`mean`).
-- Refused, in one line, if it does not fit the board's memories.
-- @param rates as plan.rates gives them, if known
function plan.make(device, where, rates)
  local build = compiler.schedule(device, where)
  local board, memories = build.board, boards.memories(build.board)
  if not board.code then
    fail("%s: code: expected bytes of an operation, a loop and a call, found none", source(board))
  end
  local bytes = placement.sizes(build)
  local places, lacking = placement.of(bytes, memories, board.stack)
  if not places then
    local size, others = largest(device, where, build, bytes.code)
    local advice = size and ("the largest resolution that fits is %d"):format(size) or others and "no resolution fits"
      or "the file has no other resolution"
    if bytes.weights and fits_with(device, where, build, bytes.code, "weights", "stream") then
      advice = advice .. "; with --weights stream it fits"
    end
    fail("%s: --resolution %d: expected room on %s (%s) for arena %s%s and code %s, found none for the %s; %s", where,
      build.model.image_size, board.name, describe(memories, board.stack),
      layout.bytes(bytes.arena), bytes.weights and (", weights %s"):format(layout.bytes(bytes.weights)) or "",
        layout.bytes(bytes.code), lacking, advice)
  end
  rates = rates or plan.rates(board)
  local layers, total = times(build, places, rates)
  for _, file in ipairs(build.files) do file:unchanged() end
  return { board = board, model = build.model, build = build, rates = rates, cores = build.graph.cores, layers = layers,
    encode_ms = total.encode, decode_ms = total.decode,
    macs_encode = total.encode_macs, macs_decode = total.decode_macs, bytes = bytes,
      bound = build.graph.memory.bound, storage = build.graph.stream and storage(build, layers), places = places,
      memories = memories }
end

return plan
