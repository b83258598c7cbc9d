-- SPDX-License-Identifier: Apache-2.0
--- How a matrix product is cut: register tiles, order of the loops and blocks of k, chosen by a cost model from what
-- the board's file says of its core and caches. No choice can change a result.
--
-- A tiling covers c (M rows by `panels` panels of 16 columns) with tiles whose sums stay in registers for a block of k
-- steps:
--   rows, columns   {{first, last, mr or np}...}: ranges in order, each a whole number of tiles of one size; `parts` of
-- a range of columns: tiles a panel
--   blocks          {{first, count}...} of k
--   order           "columns": a group of panels meets all rows before the next one; "rows": a tile of rows meets all
-- panels
--   cycles          what the model expects of one call
--   operations      vector operations of one call: fma, load, broadcast, store, and the epilogue's add and activation
local activations = require "graph.activations"

local tiles = {}

-- What transfers from farther caches cost where arithmetic covers them: a share of their time.
local EXPOSED = 0.05
-- How much longer than a stream it takes to fetch the sums of a tile again: short runs, asked for when they are
-- needed.
local SCATTERED = 4
-- A cache holds what is used again only if something is left for what passes through.
local HOLDS = 0.75
-- Panels of a tile at most: each is a stream of its own, and prefetchers follow few.
local STREAMS = 6
-- Steps of k up to which the end of a tile's loop is foreseen.
local FORESEEN = 32
-- A chain of sums that just fills its latency is held up by anything.
local SLACK = 1.1

-- What a board's file need not say: cycles and rates of a common core.
local CORE = { fma_per_cycle = 1, loads_per_cycle = 1, stores_per_cycle = 1, fma_latency = 4, issue = 4, divide = 8,
  mispredict = 15 }
local RATES = { l2 = 32, l3 = 8, memory = 4 }

local function filled(given, default)
  local all = {}
  for key, value in pairs(default) do all[key] = given and given[key] or value end
  return all
end

--- What a product's sums start from and end with, by its `init`: "zero", "bias", "keep" (c is where they start) or
-- "keep_bias".
function tiles.keeps(init) return init == "keep" or init == "keep_bias" end
function tiles.biased(init) return init == "bias" or init == "keep_bias" end

-- Vectors of a row of a tile: of np panels, or of a part of one.
local function width(isa, column) return column.np * 16 // isa.width // (column.parts or 1) end

--- How many rows of b a tile holds at once beside its sums and what it has of a: an element or, where lanes multiply, a
-- vector of each row, or, where scalars do, none. 0 where the registers do not hold one; 1, 2, 4, ... up to the lanes
-- where lanes multiply and each turn from multiply-adds to loads costs cycles.
function tiles.held(isa, core, mr, vectors)
  local left = isa.registers - mr * vectors - (isa.fma_lane and mr or isa.fma_scalar and 0 or 1)
  if left < vectors then return mr == 1 and vectors * isa.width == 16 and 1 or 0 end
  local rows = 1
  while isa.fma_lane and core.turn and rows < isa.width and 2 * rows * vectors <= left do rows = 2 * rows end
  return rows
end

-- Ways to divide a panel where the registers do not hold two rows of one, or turns to loads cost. Not on the plain
-- boards, which say nothing of registers: they are there to compare with, and small.
local function divisions(isa, board)
  local list, per = {}, 16 // isa.width
  if (3 * per >= isa.registers or isa.fma_lane and board.core.turn) and (isa.width > 1 or board.registers) then
    local parts = 2
    while parts <= per do
      list[#list + 1] = parts
      parts = 2 * parts
    end
  end
  return list
end

-- Cycles of `steps` steps of k: for each the tightest of arithmetic, loads, the chain of a sum, and issue; and a little
-- for what b takes of the cache.
-- Where lanes multiply, a load of a serves a vector of steps. Cores that multiply by scalars take several cycles a
-- vector, and do one thing after the other, as do those on which turns to loads cost.
local function step_cycles(isa, core, mr, vectors, steps)
  local sums = mr * vectors
  if isa.fma_scalar then
    return steps * (math.max(sums / core.fma_per_cycle, SLACK * core.fma_latency) + mr / core.issue
      + vectors / core.loads_per_cycle)
  end
  local function one(loads, branch, held)
    if core.turn then
      return math.max(sums / core.fma_per_cycle + loads / core.loads_per_cycle + branch / core.issue + core.turn / held,
        SLACK * core.fma_latency)
    end
    return math.max(sums / core.fma_per_cycle, loads / core.loads_per_cycle, SLACK * core.fma_latency,
      (sums + loads + branch) / core.issue) + 0.02 * vectors
  end
  local grouped = isa.fma_lane and steps // isa.width * isa.width or 0
  return grouped * one(vectors + mr / isa.width, 3 / isa.width, tiles.held(isa, core, mr, vectors))
    + (steps - grouped) * one(vectors + mr, 3, 1)
end

-- Cycles for `bytes` to come to the core from the nearest cache that holds `beside` bytes, and the rest of the working
-- set.
local function transfer(board, bytes, beside)
  local caches, rate = board.caches, board.rates
  if beside <= HOLDS * caches.l1 then return 0 end
  if beside <= HOLDS * caches.l2 then return bytes / rate.l2 end
  if beside <= HOLDS * (caches.l3 or 0) then return bytes / rate.l3 end
  return bytes / rate.memory
end

local function count(range, size) return (range.last - range.first) // size end

-- Vector operations of a tiling for one call.
local function operations(isa, f, tiling)
  local ops, act = { fma = 0, load = 0, broadcast = 0, store = 0, add = 0 }, activations.of(f.act, "tiles: act")
  for _, name in ipairs(activations.computed) do ops[activations.entries[name].counted] = 0 end
  for b, block in ipairs(tiling.blocks) do
    local starts, ends = b > 1 or tiles.keeps(f.init), b == #tiling.blocks
    for _, row in ipairs(tiling.rows) do
      for _, column in ipairs(tiling.columns) do
        local n, vectors = count(row, row.mr) * count(column, column.np) * (column.parts or 1), width(isa, column)
        local sums = row.mr * vectors
        ops.fma = ops.fma + n * sums * block.count
        local groups = isa.fma_lane and block.count // isa.width or 0
        ops.broadcast = ops.broadcast + (isa.fma_scalar and 0 or n * row.mr * (block.count - groups * isa.width))
        ops.load = ops.load + n * (vectors * block.count + row.mr * groups + (starts and sums or 0))
        ops.store = ops.store + n * sums
        if ends and tiles.biased(f.init) then
          ops.load, ops.add = ops.load + n * vectors, ops.add + n * sums
        end
        if ends and f.residual then
          ops.load, ops.add = ops.load + n * sums, ops.add + n * sums
        end
        if ends and act.counted then ops[act.counted] = ops[act.counted] + n * sums end
        if ends and not act.in_registers then ops.load, ops.store = ops.load + n * sums, ops.store + n * sums end
      end
    end
  end
  return ops
end

-- Cycles of a tiling for one call: for every kind of tile, what the core does and what the caches bring.
-- @param limit where a part of them is more than that, the part is enough; nil: none
local function cycles(isa, board, f, tiling, limit)
  local core, act = board.core, activations.of(f.act, "tiles: act")
  local whole_b, whole_c = f.panels * 64 * f.K, f.M * f.panels * 64
  local total = 0
  for b, block in ipairs(tiling.blocks) do
    local starts, ends = b > 1 or tiles.keeps(f.init), b == #tiling.blocks
    local block_a, block_b = f.M * block.count * 4, f.panels * 64 * block.count
    for _, row in ipairs(tiling.rows) do
      for _, column in ipairs(tiling.columns) do
        local ni, nj, parts = count(row, row.mr), count(column, column.np), column.parts or 1
        local vectors = width(isa, column)
        local sums = row.mr * vectors
        local busy = step_cycles(isa, core, row.mr, vectors, block.count) + (block.count > FORESEEN and core.mispredict
          or 0) + core.fma_latency
          + (starts and sums / core.loads_per_cycle or 0) + sums / core.stores_per_cycle
        if ends and f.residual then busy = busy + sums / core.loads_per_cycle end
        if ends then busy = busy + sums * (act.arithmetic / core.fma_per_cycle + act.divisions * core.divide) end
        local tile_a, group_b = row.mr * block.count * 4, column.np * 64 * block.count
        local stored = transfer(board, sums * isa.width * 4, whole_c + block_a)
        if starts then busy = busy + SCATTERED * stored end
        busy, stored = parts * busy, parts * stored
        local function tile(times, from_a, from_b)
          local moved = transfer(board, tile_a, from_a) + (parts - 1) * transfer(board, tile_a, tile_a + group_b)
            + transfer(board, group_b, from_b) + stored
          total = total + times * (math.max(busy, moved) + EXPOSED * math.min(busy, moved))
        end
        if tiling.order == "columns" then
          -- A group of b comes once from where all of b lies, then from where it fits beside a.
          local home = whole_b + block_a
          local first = row.first == 0 and nj or 0
          tile(first, block_a + group_b, home)
          tile(ni * nj - first, block_a + group_b, group_b + tile_a)
        else
          -- The first rows fetch b from where all of it lies; the others find the block of it that they go through
          -- again.
          local first_b = row.first == 0 and nj or 0
          local first_a = column.first == 0 and ni - (row.first == 0 and 1 or 0) or 0
          tile(first_b, f.M * f.K * 4 + whole_c, whole_b + block_a)
          tile(first_a, f.M * f.K * 4 + whole_c, block_b + tile_a)
          tile(ni * nj - first_a - first_b, tile_a + group_b, block_b + tile_a)
        end
      end
    end
    if limit and total > limit then return total end
  end
  return total
end

-- A range of tiles of `size`, and one tile of the rest.
local function cut(n, size, key)
  local list, full = {}, n // size * size
  if full > 0 then list[1] = { first = 0, last = full, [key] = size } end
  if full < n then list[#list + 1] = { first = full, last = n, [key] = n - full } end
  return list
end

-- The same number of tiles, none smaller than another by more than one.
local function even(n, size, key)
  local number = (n + size - 1) // size
  local larger = n - number * (n // number)
  if larger == 0 then return cut(n, n // number, key) end
  local tall = n // number + 1
  return { { first = 0, last = larger * tall, [key] = tall }, { first = larger * tall, last = n, [key] = tall - 1 } }
end

-- All ways to cut n into tiles of at most `most`, each once.
local function cuts(n, most, key)
  local list, seen = {}, {}
  for size = 1, math.min(n, most) do
    for _, way in ipairs { cut(n, size, key), even(n, size, key) } do
      local name = way[1].last .. " " .. way[1][key]
      if not seen[name] then
        seen[name] = true
        list[#list + 1] = way
      end
    end
  end
  return list
end

--- Cut `steps` steps of k into blocks of at most `most`, as even as they come: {{first, count}...}.
function tiles.blocks(steps, most)
  local number = (steps + most - 1) // most
  local size, list, first = (steps + number - 1) // number, {}, 0
  while first < steps do
    list[#list + 1] = { first = first, count = math.min(size, steps - first) }
    first = first + size
  end
  return list
end

-- Ways to cut k. The partial sums of a residual have no place of their own: it takes one block.
local function depths(f)
  local list, before = {}, nil
  for number = 1, f.residual and 1 or math.max(1, math.min(16, f.K // 64)) do
    local blocks = tiles.blocks(f.K, (f.K + number - 1) // number)
    if #blocks ~= before then list[#list + 1] = blocks end
    before = #blocks
  end
  return list
end

-- A board with all numbers that cycles asks for.
local function complete(board)
  local core = filled(board.core, CORE)
  core.turn = board.core.turn
  return { registers = board.registers, core = core, caches = board.caches,
    rates = filled(board.bytes_per_cycle, RATES) }
end

-- All tilings for a product, without cycles; those of taller tiles come last. @param board a complete one
local function tilings(isa, board, f)
  local list, per = {}, 16 // isa.width
  local across = cuts(f.panels, math.max(1, math.min(STREAMS, isa.registers // per)), "np")
  for _, parts in ipairs(divisions(isa, board)) do
    across[#across + 1] = { { first = 0, last = f.panels, np = 1, parts = parts } }
  end
  for _, rows in ipairs(cuts(f.M, isa.registers, "mr")) do
    for _, columns in ipairs(across) do
      if tiles.held(isa, board.core, rows[1].mr, width(isa, columns[1])) > 0 then
        local one = #rows == 1 and rows[1].mr == f.M or #columns == 1 and columns[1].np == f.panels
        for _, order in ipairs(one and { "columns" } or { "columns", "rows" }) do
          for _, blocks in ipairs(depths(f)) do
            list[#list + 1] = { rows = rows, columns = columns, blocks = blocks, order = order }
          end
        end
      end
    end
  end
  return list
end

--- All tilings for a product, the cheapest first.
-- @param f M, panels, K; init as of tiles.keeps; act one of lua/graph/activations.lua; residual
-- @return list of tilings, with cycles but without operations
function tiles.candidates(isa, board, f)
  board = complete(board)
  local list, place = tilings(isa, board, f), {}
  for _, tiling in ipairs(list) do tiling.cycles = cycles(isa, board, f, tiling) end
  for i, tiling in ipairs(list) do place[tiling] = i end
  table.sort(list, function(a, b) return a.cycles < b.cycles or (a.cycles == b.cycles and place[a] < place[b]) end)
  return list
end

local function sizes_of(tiling)
  local list = {}
  for _, row in ipairs(tiling.rows) do
    for _, column in ipairs(tiling.columns) do
      list[#list + 1] = ("%dx%d/%d"):format(row.mr, column.np, column.parts or 1)
    end
  end
  return list
end

-- How much dearer than the cheapest a tiling may be that has fewer new tiles.
local NEARLY = 1.01

-- Of tilings that cut k as the first one does the one with the fewest tiles of sizes that are not known; its are known
-- then.
local function sharing(list, known)
  local best, fewest
  for _, one in ipairs(list) do
    local new = 0
    for _, size in ipairs(sizes_of(one)) do new = new + (known[size] and 0 or 1) end
    if #one.blocks == #list[1].blocks and (not fewest or new < fewest) then best, fewest = one, new end
  end
  for _, size in ipairs(sizes_of(best)) do known[size] = true end
  return best
end

--- The tiling for a product, with its operations: of those that are nearly as cheap as the cheapest, the one of which
-- most sizes of tiles are known, as each one more is more code. Parameters as of candidates.
-- @param known set of the sizes of tiles that other products have, to which its are added; nil: the cheapest
function tiles.tiling(isa, board, f, known)
  local whole, near, place, least = complete(board), {}, {}, nil
  local list, share = tilings(isa, whole, f), known and NEARLY or 1
  -- From the tall ones on, which are cheap and end others soon.
  for i = #list, 1, -1 do
    local found = cycles(isa, whole, f, list[i], least and share * least)
    if not least or found <= share * least then
      list[i].cycles, place[list[i]] = found, i
      near[#near + 1], least = list[i], math.min(least or found, found)
    end
  end
  local cheap = {}
  for _, one in ipairs(near) do
    if one.cycles <= share * least then cheap[#cheap + 1] = one end
  end
  table.sort(cheap, function(a, b) return a.cycles < b.cycles or (a.cycles == b.cycles and place[a] < place[b]) end)
  local best = known and sharing(cheap, known) or cheap[1]
  best.operations = operations(isa, f, best)
  return best
end

tiles.operations = operations

return tiles
