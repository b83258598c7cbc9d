-- SPDX-License-Identifier: Apache-2.0
-- How products are cut: everything is covered exactly once, tiles fit the registers, and the choice follows the board.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local tiles = require "kernels.tiles"

local lua = msagen.datadir .. "/lua"
local function load_table(path) return assert(loadfile(path, "t", {}))() end

--- Instruction sets of the tree, and some that are not: few registers, narrow or wide vectors.
local sets = {}
for _, name in ipairs { "c99", "avx2", "avx512" } do
  sets[#sets + 1] = load_table(("%s/target/isa/%s.lua"):format(lua, name))
  sets[#sets].name = name
end
sets[#sets + 1] = { name = "4 x 32", width = 4, registers = 32 }
sets[#sets + 1] = { name = "4 x 32 by lanes", width = 4, registers = 32, fma_lane = "a[lane] * b + c" }
sets[#sets + 1] = { name = "4 x 8", width = 4, registers = 8 }
sets[#sets + 1] = { name = "4 x 8 by scalars", width = 4, registers = 8, fma_scalar = "s * b + c" }
sets[#sets + 1] = { name = "2 x 16", width = 2, registers = 16 }
local avx512 = sets[3]

--- Boards from a server to one that says little about itself.
local server = { core = { fma_per_cycle = 2, loads_per_cycle = 2, fma_latency = 4 },
  caches = { l1 = 32768, l2 = 1 << 20, l3 = 16 << 20 }, bytes_per_cycle = { l2 = 32, l3 = 12, memory = 5 } }
local small = { core = { fma_per_cycle = 0.5, loads_per_cycle = 1, fma_latency = 3 },
  caches = { l1 = 4096, l2 = 32768 } }
local slow = { core = { fma_per_cycle = 1, loads_per_cycle = 1, fma_latency = 8 },
  caches = { l1 = 16384, l2 = 131072 } }
local turning = { core = { fma_per_cycle = 1, loads_per_cycle = 1, fma_latency = 8, turn = 6 }, caches = slow.caches }

local function shape(M, N, K, changes)
  local f = { M = M, N = N, K = K, panels = (N + 15) // 16, init = "zero", act = "none", residual = false }
  for key, value in pairs(changes or {}) do f[key] = value end
  return f
end

--- Pieces stand in order, each a whole number of tiles, from 0 to count.
local function covers(list, count, key)
  local at = 0
  for _, piece in ipairs(list) do
    equal(piece.first, at, "first")
    assert(piece.last > piece.first and piece[key] > 0 and (piece.last - piece.first) % piece[key] == 0)
    at = piece.last
  end
  equal(at, count, "covered")
  assert(#list <= 2, "more than a main part and a rest")
end

local function is_whole(isa, f, tiling)
  covers(tiling.rows, f.M, "mr")
  covers(tiling.columns, f.panels, "np")
  local at = 0
  for _, block in ipairs(tiling.blocks) do
    equal(block.first, at, "first step of a block")
    assert(block.count > 0)
    at = at + block.count
  end
  equal(at, f.K, "steps of k")
  for _, r in ipairs(tiling.rows) do
    for _, c in ipairs(tiling.columns) do
      local parts = c.parts or 1
      assert(parts == 1 or c.np == 1 and 16 // isa.width % parts == 0)
      local vectors = c.np * 16 // isa.width // parts
      local used = r.mr * vectors + vectors + (isa.fma_scalar and 0 or 1)
      assert(used <= isa.registers or (r.mr == 1 and c.np == 1 and parts == 1),
        ("%d rows by %d panels take %d registers"):format(r.mr, c.np, used))
    end
  end
  assert(tiling.order == "rows" or tiling.order == "columns")
  assert(tiling.cycles > 0 and tiling.cycles < math.huge)
end

describe("tilings", function()
  for _, isa in ipairs(sets) do
    it("cover every row, panel and step once and fit the registers: " .. isa.name, function()
      for _, board in ipairs { server, small, slow, turning } do
        for _, M in ipairs { 1, 2, 5, 13, 23, 29, 30, 64, 71, 128 } do
          for _, N in ipairs { 1, 16, 23, 33, 100, 768 } do
            local f = shape(M, N, 1 + M * N % 700)
            is_whole(isa, f, tiles.tiling(isa, board, f))
          end
        end
      end
    end)
  end

  it("that are passed over are whole as well, and dearer", function()
    for _, isa in ipairs { sets[2], avx512 } do
      local f = shape(98, 208, 301, { init = "bias", act = "gelu" })
      local list, seen = tiles.candidates(isa, server, f), {}
      assert(#list > 50)
      for i, tiling in ipairs(list) do
        is_whole(isa, f, tiling)
        assert(i == 1 or tiling.cycles >= list[i - 1].cycles)
        local name = ("%d %d %d %d %d %s"):format(tiling.rows[1].mr, tiling.rows[1].last, tiling.columns[1].np,
          tiling.columns[1].last, #tiling.blocks, tiling.order)
        assert(not seen[name], name .. " twice")
        seen[name] = true
      end
    end
  end)

  it("depend on shape and board alone", function()
    local f = shape(196, 768, 768, { init = "bias" })
    equal(tiles.tiling(avx512, server, f), tiles.tiling(avx512, server, f))
  end)

  it("keep the multiply-adders of a wide core busy", function()
    -- Two units of latency 4 want 8 sums under way; and no more loads than multiply-adds.
    for _, M in ipairs { 14, 23, 64, 98, 128 } do
      local tiling = tiles.tiling(avx512, server, shape(M, 768, 768))
      local mr, np = tiling.rows[1].mr, tiling.columns[1].np
      assert(mr * np >= 16 and mr + np <= mr * np, ("%d: %d x %d"):format(M, mr, np))
      assert(tiling.cycles < 1.25 * M * 48 * 768 / 2, ("%d rows: %.0f cycles"):format(M, tiling.cycles))
    end
  end)

  it("use the registers that there are", function()
    local few = { width = 16, registers = 8 }
    local f = shape(128, 768, 768)
    local a, b = tiles.tiling(avx512, server, f), tiles.tiling(few, server, f)
    assert(b.rows[1].mr * b.columns[1].np < a.rows[1].mr * a.columns[1].np)
    assert(b.cycles > a.cycles)
  end)

  it("divide panels where the registers do not hold two rows of one", function()
    local f = shape(128, 768, 768)
    for _, case in ipairs { { { width = 4, registers = 8 }, true },
      { { width = 4, registers = 8, fma_scalar = "s * b + c" }, true }, { { width = 4, registers = 16 }, false },
      { { width = 1, registers = 32 }, true, 32 }, { { width = 1, registers = 16 }, false } } do
      local isa = case[1]
      local tiling = tiles.tiling(isa, { core = slow.core, caches = slow.caches, registers = case[3] }, f)
      equal(tiling.columns[1].parts ~= nil, case[2], ("%d x %d"):format(isa.width, isa.registers))
      assert(not case[2] or tiling.rows[1].mr > 1)
    end
  end)

  it("load as much at once as the registers hold where turns to loads cost", function()
    local isa, f = { width = 4, registers = 32, fma_lane = "a[lane] * b + c" }, shape(128, 768, 768)
    local function held(board)
      local tiling = tiles.tiling(isa, board, f)
      local rows, column = tiling.rows[1].mr, tiling.columns[1]
      local vectors = column.np * 4 // (column.parts or 1)
      local count = tiles.held(isa, board.core, rows, vectors)
      assert(rows * vectors + rows + count * vectors <= isa.registers)
      return count, rows * vectors
    end
    equal({ held(slow) }, { 1, 20 })
    equal({ held(turning) }, { 4, 16 }) -- a whole vector of a's steps, at the price of some sums
    assert(tiles.tiling(isa, turning, f).cycles > tiles.tiling(isa, slow, f).cycles)
    equal(tiles.held(isa, turning.core, 5, 4), 1)
    equal(tiles.held(isa, turning.core, 10, 2), 1)
    equal(tiles.held(isa, turning.core, 11, 2), 0)
    equal(tiles.held(isa, turning.core, 10, 1), 4)
    equal(tiles.held({ width = 4, registers = 32 }, turning.core, 8, 2), 1) -- a is broadcast step by step
  end)

  it("cut k where caches are small", function()
    local f = shape(128, 768, 3072)
    local a, b = tiles.tiling(avx512, server, f),
      tiles.tiling(avx512, { core = server.core, caches = small.caches, bytes_per_cycle = server.bytes_per_cycle }, f)
    assert(#b.blocks > #a.blocks, ("%d and %d blocks"):format(#b.blocks, #a.blocks))
    local endless = { core = server.core, caches = { l1 = 1 << 40, l2 = 1 << 40, l3 = 1 << 40 },
      bytes_per_cycle = server.bytes_per_cycle }
    equal(#tiles.tiling(avx512, endless, f).blocks, 1, "blocks where everything fits")
  end)

  it("of a residual take k as a whole", function()
    for _, board in ipairs { server, small, slow } do
      equal(#tiles.tiling(avx512, board, shape(128, 768, 3072, { init = "bias", residual = true })).blocks, 1)
    end
  end)

  it("expect more of a narrower path to memory", function()
    local narrow = { core = server.core, caches = server.caches, bytes_per_cycle = { l2 = 4, l3 = 2, memory = 1 } }
    local f = shape(23, 2048, 256)
    assert(tiles.tiling(avx512, narrow, f).cycles > 1.5 * tiles.tiling(avx512, server, f).cycles)
  end)

  it("count the arithmetic of whole panels", function()
    for _, isa in ipairs(sets) do
      for _, case in ipairs { { 7, 20, 33 }, { 128, 768, 3072 }, { 1, 4, 256 } } do
        local f = shape(table.unpack(case))
        local tiling = tiles.tiling(isa, server, f)
        equal(tiling.operations.fma, f.M * f.panels * (16 // isa.width) * f.K)
        assert(tiling.operations.store >= f.M * f.panels * (16 // isa.width))
        equal(tiling.operations.add, 0)
      end
    end
  end)
end)

describe("blocks of k", function()
  it("cover every step once, as even as they come", function()
    for _, most in ipairs { 1, 7, 256, 768 } do
      for _, count in ipairs { 1, 2, 6, 7, 8, 767, 768, 769, 3072, 5000 } do
        local at, least, largest = 0, math.huge, 0
        for _, block in ipairs(tiles.blocks(count, most)) do
          equal(block.first, at)
          at = at + block.count
          least, largest = math.min(least, block.count), math.max(largest, block.count)
        end
        equal(at, count)
        assert(largest <= most)
        assert(least > 0 and #tiles.blocks(count, most) <= (count + most - 1) // most)
      end
    end
  end)
end)

describe("the tiling of a product", function()
  it("is the first of its candidates", function()
    for _, set in ipairs(sets) do
      for i, board in ipairs { server, small, slow, turning } do
        local f = shape(9 * i + 1, 40 * i, 70 * i, { residual = i == 3, act = i == 2 and "relu" or "none" })
        local first, one = tiles.candidates(set, board, f)[1], tiles.tiling(set, board, f)
        one.operations = nil
        equal(one, first, set.name)
      end
    end
  end)
end)
