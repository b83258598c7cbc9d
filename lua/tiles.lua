-- SPDX-License-Identifier: Apache-2.0
--- Register tiles of matrix products, chosen by a cost model from what the board's file says of its core.
local tiles = {}

-- Cycles of one k step of a tile of `mr` rows by `np` panels, or nil if it does not fit the registers.
local function step_cycles(isa, core, mr, np)
  local vectors = np * 16 // isa.width
  local accumulators = mr * vectors
  if accumulators + vectors + 1 > isa.registers and not (mr == 1 and np == 1) then return nil end
  local bound = math.max(accumulators / core.fma_per_cycle, (vectors + mr) / core.loads_per_cycle, core.fma_latency)
  return bound + 0.03 * (vectors + mr) + 0.25 -- what loads and the loop cost beside the arithmetic
end

-- Cheapest way to cover `rows` rows with tiles `np` panels wide: tiles of one height and one for the rest.
local function cover(isa, core, rows, np)
  local best
  for mr = 1, rows do
    local cycles = step_cycles(isa, core, mr, np)
    if not cycles then break end
    local rest = rows % mr
    local total = rows // mr * cycles + (rest > 0 and step_cycles(isa, core, rest, np) or 0)
    if not best or total <= best.cycles then best = { mr = mr, cycles = total } end
  end
  return best
end

--- How a product of `rows` rows and `panels` panels of 16 columns is cut.
-- @return rows = {{first, last, mr}...}, columns = {{first, last, np}...}, both covering everything in order
function tiles.choose(isa, core, rows, panels)
  local best
  for np = 1, math.min(4, panels) do
    local main = cover(isa, core, rows, np)
    if main then
      local rest = panels % np
      -- The rest is covered with the same heights, which keeps one list of rows.
      local total = panels // np * main.cycles
      if rest > 0 then total = total + (rows // main.mr + (rows % main.mr > 0 and 1 or 0)) * step_cycles(isa, core, main.mr, rest) end
      if not best or total < best.total - 1e-9 then best = { total = total, np = np, mr = main.mr } end
    end
  end
  local function cut(count, size, key)
    local list, full = {}, count // size * size
    if full > 0 then list[1] = { first = 0, last = full, [key] = size } end
    if full < count then list[#list + 1] = { first = full, last = count, [key] = count - full } end
    return list
  end
  return cut(rows, best.mr, "mr"), cut(panels, best.np, "np"), best.total
end

--- Cut `count` steps of k into blocks of at most `most`, as even as they come: {{first, count}...}.
function tiles.blocks(count, most)
  local pieces = (count + most - 1) // most
  local size, list, first = (count + pieces - 1) // pieces, {}, 0
  while first < count do
    list[#list + 1] = { first = first, count = math.min(size, count - first) }
    first = first + size
  end
  return list
end

return tiles
