-- SPDX-License-Identifier: Apache-2.0
-- Register tiles: a product is covered exactly once, and no tile needs more registers than there are.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local tiles = require "tiles"

local lua = package.searchpath("tiles", package.path):gsub("/tiles%.lua$", "")
local function load_table(path) return assert(loadfile(path, "t", {}))() end

--- Instruction sets of the tree, and some that are not: few registers, narrow or wide vectors.
local sets = {}
for _, name in ipairs { "c99", "avx2", "avx512" } do
  sets[#sets + 1] = load_table(("%s/isa/%s.lua"):format(lua, name))
  sets[#sets].name = name
end
sets[#sets + 1] = { name = "4 x 32", width = 4, registers = 32 }
sets[#sets + 1] = { name = "4 x 8", width = 4, registers = 8 }
sets[#sets + 1] = { name = "2 x 16", width = 2, registers = 16 }

local cores = {
  { fma_per_cycle = 2, loads_per_cycle = 2, fma_latency = 4 },
  { fma_per_cycle = 1, loads_per_cycle = 1, fma_latency = 8 },
  { fma_per_cycle = 0.5, loads_per_cycle = 1, fma_latency = 3 },
}

--- Pieces stand in order, each a whole number of `key`, from 0 to count.
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

describe("tiles", function()
  for _, isa in ipairs(sets) do
    it("cover every row and panel once and fit the registers: " .. isa.name, function()
      for _, core in ipairs(cores) do
        for rows = 1, 70 do
          for _, panels in ipairs { 1, 2, 3, 4, 5, 7, 48, 97 } do
            local by_row, by_column, cost = tiles.choose(isa, core, rows, panels)
            covers(by_row, rows, "mr")
            covers(by_column, panels, "np")
            assert(cost > 0)
            for _, r in ipairs(by_row) do
              for _, c in ipairs(by_column) do
                local vectors = c.np * 16 // isa.width
                local used = r.mr * vectors + vectors + 1
                assert(used <= isa.registers or (r.mr == 1 and c.np == 1), ("%d rows by %d panels take %d registers"):format(r.mr, c.np, used))
              end
            end
          end
        end
      end
    end)
  end

  it("depend on shape and board alone", function()
    local a, b = { tiles.choose(sets[3], cores[1], 196, 48) }, { tiles.choose(sets[3], cores[1], 196, 48) }
    equal(a, b)
  end)

  it("keep the multiply-adders of a wide core busy", function()
    -- AVX-512, two units of latency 4: at least 8 accumulators; 14 rows by 2 panels is what the registers allow.
    local rows, columns = tiles.choose(sets[3], cores[1], 128, 48)
    assert(rows[1].mr * columns[1].np >= 16, ("%d x %d"):format(rows[1].mr, columns[1].np))
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
