-- SPDX-License-Identifier: Apache-2.0
--- Whether a board that is `like` another one can be run by the other's emulator, which is a machine with certain
-- memories and instructions.
local inherited_emulator = {}

-- Whether a memory lies within one that the emulated machine has.
local function within(memory, memories)
  for _, other in ipairs(memories or {}) do
    if memory.address >= other.address and memory.address + memory.bytes <= other.address + other.bytes then
      return true
    end
  end
  return false
end

local function placed(memory)
  return type(memory) == "table" and math.type(memory.address) == "integer" and type(memory.bytes) == "number"
end

local function set_of(list)
  local set = {}
  for _, word in ipairs(list or {}) do set[word] = true end
  return set
end

-- A flag that lets the compiler use other instructions. Units for floating point of Cortex-M are each a part of the
-- largest one.
local function chooses_instructions(flag, board)
  return flag:match "^%-m" and not flag:match "^%-mtune=" and not flag:match "^%-mno%-"
    and not flag:match "^%-mfloat%-abi=" and not (board.hosted == false and flag:match "^%-mfpu=fpv")
end

--- Why not, or nil. Fields of other types than a board's are left to board_check.
-- @param board the complete board  @param base the one that it is like
function inherited_emulator.lost(board, base)
  if board.hosted ~= base.hosted then return "one of the two has no operating system" end
  for _, memory in ipairs(board.hosted == false and type(board.memories) == "table" and board.memories or {}) do
    if placed(memory) and not within(memory, base.memories) then
      return ("memory %s is at 0x%08x, %.0f bytes, where that machine has none"):format(tostring(memory.name),
        memory.address, memory.bytes)
    end
  end
  local features, flags = set_of(base.requires), set_of(base.flags)
  for _, feature in ipairs(type(board.requires) == "table" and board.requires or {}) do
    if not features[feature] then return ("that machine need not have %s"):format(tostring(feature)) end
  end
  for _, flag in ipairs(type(board.flags) == "table" and board.flags or {}) do
    if type(flag) == "string" and not flags[flag] and chooses_instructions(flag, board) then
      return ("its code is compiled with %s"):format(flag)
    end
  end
  if board.hosted == false then
    local runner = type(board.start) == "table" and type(board.start.runner) == "table" and set_of(board.start.runner)
      or {}
    for _, file in ipairs(base.start.runner) do
      if not runner[file] then return ("its start has no %s, by which programs and that emulator talk"):format(file) end
    end
  end
end

--- What to say of it.
function inherited_emulator.text(like, why)
  return ("like %s, but not run by its emulator, as %s; emulator = {...} in the board's file names another, "
    .. "emulator = false none"):format(like, why)
end

return inherited_emulator
