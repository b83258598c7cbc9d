-- SPDX-License-Identifier: Apache-2.0
--- How a product of whole numbers is cut: by the cost model of those of floats, a word of 32 bits of a row being what a
-- float is there.

local integers = require "kernels.integers"
local tiles = require "kernels.tiles"

local integer_tiles = {}

-- An instruction set as the tiles' cost model sees it, a word of the row being what an element is there.
local function set_of(K, form)
  local integer = K:integer()
  if not integer.vector or not integer[form == "halves" and "bytes" or form] then
    return { width = 16, registers = 2 }
  end
  return { width = integer.lanes, registers = integer.registers }
end

local function board_of(K, form)
  local core, rate = {}, (K:integer().rate or {})[form]
  for key, value in pairs(K.board.core) do core[key] = value end
  core.turn = nil
  -- Without vectors a word of a column takes as many instructions as it has products, and some.
  core.fma_per_cycle = (core.fma_per_cycle or 1) / (rate or 16 * (form == "pairs" and 4 or 8))
  if set_of(K, form).width == 16 and K:integer().lanes ~= 16 then core.loads_per_cycle = core.fma_per_cycle * 16 end
  return { registers = set_of(K, form).registers, core = core, caches = K.board.caches,
    bytes_per_cycle = K.board.bytes_per_cycle }
end

-- Tiles that add up columns: as many rows as there are sums for, a panel after the other.
local function of_columns(integer, M, N, length)
  local panels, count = (N + 15) // 16, (M + integer.rows - 1) // integer.rows
  local low = M // count
  local tall = (M - count * low) * (low + 1)
  local rows = { { first = 0, last = tall > 0 and tall or M, mr = tall > 0 and low + 1 or low } }
  if tall > 0 and tall < M then rows[2] = { first = tall, last = M, mr = low } end
  return { rows = rows, columns = { { first = 0, last = panels, np = 1 } }, order = "columns",
    cycles = M * panels * 16 * (integers.steps(length, "columns") * integer.rate.columns + 8) }
end

--- The tiling of a product: K in numbers.
function integer_tiles.tiling(K, M, N, length, form)
  if form == "columns" then return of_columns(K:integer(), M, N, length) end
  local key = ("int8 %d %d %d %s"):format(M, N, length, form)
  K.integer_sizes[form] = K.integer_sizes[form] or {}
  K.tilings[key] = K.tilings[key] or tiles.tiling(set_of(K, form), board_of(K, form), { M = M, panels = (N + 15) // 16,
    K = integers.steps(length, form), init = "zero", act = "none", residual = true }, K.integer_sizes[form])
  return K.tilings[key]
end

return integer_tiles
