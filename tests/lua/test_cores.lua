-- SPDX-License-Identifier: Apache-2.0
-- How units are shared by cores: each once, in order, as evenly as runs of whole units can be.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local cores = require "schedule.split"

describe("a split", function()
  it("has every unit once, in order, for any number of units and cores", function()
    for n = 1, cores.MOST do
      for count = 0, 40 do
        for _, cost in ipairs { false, function(i) return i % 7 * 3 + 1 end, function(i) return i == 0 and 100
          or 1 end } do
          local b = cores.split(count, n, cost or nil)
          equal({ #b, b[1], b[n + 1] }, { n + 1, 0, count })
          for c = 1, n do
            assert(math.type(b[c]) == "integer" and b[c] <= b[c + 1],
              ("%d units, %d cores: bound %d"):format(count, n, c))
          end
        end
      end
    end
  end)

  it("of units that are alike gives no core more than one above another", function()
    for n = 1, cores.MOST do
      for count = 0, 100 do
        local b, least, most = cores.split(count, n), math.huge, 0
        for c = 1, n do
          least, most = math.min(least, b[c + 1] - b[c]), math.max(most, b[c + 1] - b[c])
        end
        assert(most - least <= 1, ("%d units, %d cores: shares from %d to %d"):format(count, n, least, most))
      end
    end
  end)

  it("of units of different cost is off the even share by at most one unit's cost", function()
    local function cost(i) return (i * 37 + 11) % 23 + 1 end
    for n = 1, cores.MOST do
      for count = 1, 60 do
        local b, all, dearest = cores.split(count, n, cost), 0, 0
        for i = 0, count - 1 do all, dearest = all + cost(i), math.max(dearest, cost(i)) end
        assert(cores.largest_share(b, cost) * all <= all / n + dearest + 1e-9, ("%d units, %d cores"):format(count, n))
      end
    end
  end)

  it("leaves cores without work where there are fewer units", function()
    local b, busy = cores.split(3, 8), 0
    for c = 1, 8 do busy = busy + (b[c + 1] > b[c] and 1 or 0) end
    equal(busy, 3)
    equal(cores.split(0, 4), { 0, 0, 0, 0, 0 })
    equal(cores.split(5, 1), { 0, 5 })
  end)

  it("is the same each time", function()
    local function cost(i) return i % 5 + 1 end
    equal(cores.split(33, 6, cost), cores.split(33, 6, cost))
  end)
end)

describe("the largest share", function()
  it("is 1 / n of an even split, and all of what one core does", function()
    equal(cores.largest_share(cores.split(12, 4)), 0.25)
    equal(cores.largest_share(cores.split(1, 8)), 1.0)
    equal(cores.largest_share({ 0, 1, 2 }, function(i) return i == 0 and 3 or 1 end), 0.75)
    equal(cores.largest_share(cores.split(0, 3)), 1)
  end)
end)

describe("text of loops", function()
  it("has constants for one core and a table for several, with entries for a core by itself", function()
    local one, three = cores.loops(1), cores.loops(3)
    equal({ one.from "t", one.to("t", 9), one.core_parameter }, { "0", "9", "" })
    equal({ three.from "t", three.to("t", 9), three.core_parameter }, { "t[core]", "t[core + 1]", ", uint32_t core" })
    equal({ one.shares(9, 4), three.shares(9, 4), three.shares(9, nil, { 0, 1, 5, 9 }) },
      { "{0, 36, 0, 36}", "{0, 12, 24, 36, 0, 36}", "{0, 1, 5, 9, 0, 9}" })
    equal({ one.entries, three.entries }, { 4, 6 })
  end)
end)
