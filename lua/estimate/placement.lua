-- SPDX-License-Identifier: Apache-2.0
--- The memory of a board in which each thing of a build lands: arena, weights, code.
local boards = require "target.boards"
local code_size = require "estimate.code_size"

local placement = {}

-- gen/formats/blob.c: header and segment table, with room for as many segments as any model has.
local BLOB_HEADER = 4096
local THINGS = { "arena", "weights", "code" }

--- Bytes of the weights' file.
local function weights_bytes(build)
  local banks, bytes = #build.banks, BLOB_HEADER
  for _, L in ipairs(build.graph.fused) do bytes = bytes + L.segment:bytes(banks) end
  for _, table_ in pairs(build.tables) do bytes = bytes + table_:bytes(banks) end
  return bytes
end

--- Whether a memory may hold a thing.
function placement.may_hold(memory, thing)
  for _, held in ipairs(memory.holds) do
    if held == thing then return true end
  end
  return false
end

--- Put each thing into a memory: the first assignment that fits, memories in their order.
-- @param bytes thing -> bytes; weights that are streamed are none of them
-- @param stack bytes that lie with the arena where no more is reserved, or nil
-- @return thing -> memory; or nil and the thing that finds no room, however the others lie
function placement.of(bytes, memories, stack)
  local left, places, deepest = {}, {}, 0
  for _, memory in ipairs(memories) do left[memory] = memory.bytes - (memory.reserved or 0) end
  local function put(i)
    local thing = THINGS[i]
    if not thing then return true end
    if not bytes[thing] then return put(i + 1) end
    deepest = math.max(deepest, i)
    for _, memory in ipairs(memories) do
      local need = bytes[thing] + (thing == "arena" and math.max(0, (stack or 0) - (memory.reserved or 0)) or 0)
      if placement.may_hold(memory, thing) and need <= left[memory] then
        left[memory], places[thing] = left[memory] - need, memory
        if put(i + 1) then return true end
        left[memory], places[thing] = left[memory] + need, nil
      end
    end
    return false
  end
  if put(1) then return places end
  return nil, THINGS[deepest]
end

--- Bytes of each thing of a scheduled build; `stored`: of weights that are fetched.
-- @param code bytes, or nil for an estimate
function placement.sizes(build, code)
  local weights, streamed = weights_bytes(build), build.graph.stream ~= nil
  return { arena = build.graph.memory.bytes, weights = not streamed and weights or nil, stored = streamed
    and weights or nil, code = code or code_size.bytes(build) }
end

--- Where each thing lies on a board: thing -> memory. What finds no room with the others, and streamed weights, in the
-- first that may hold it: the linker tells.
-- @param build what is scheduled; nil where nothing is known of it @param sizes thing -> bytes, where they are known
function placement.on(board, build, sizes)
  local memories = boards.memories(board)
  sizes = sizes or build and placement.sizes(build, not board.code and 0 or nil)
  local places = sizes and placement.of(sizes, memories, board.stack) or {}
  for _, thing in ipairs(THINGS) do
    for _, memory in ipairs(memories) do
      if not places[thing] and placement.may_hold(memory, thing) then places[thing] = memory end
    end
  end
  return places
end

return placement
