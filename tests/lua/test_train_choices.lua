-- SPDX-License-Identifier: Apache-2.0
-- What pre-training chooses: counts, places, pairs.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local random = spec.host "msagen.random"
if not random then return end
local choices, uses = require "train.choices", require "train.uses"

local function key(image) return { seed = 3, step = 1, image = image } end

describe("MAE's choice", function()
  it("keeps the places of the smallest numbers, in rising order", function()
    for image = 0, 60 do
      local places, of = 1 + image, uses.key(key(image), "masked")
      local kept, removed = choices.masked(key(image), places, 0.75)
      equal(#kept, places // 4)
      local is, largest = {}, 0
      for i, place in ipairs(kept) do
        is[place] = true
        assert(i == 1 or kept[i - 1] < place)
        if i == 1 or math.ult(largest, random.bits(of, place)) then largest = random.bits(of, place) end
      end
      for place = 0, places - 1 do
        equal(removed[place + 1], not is[place])
        if #kept > 0 and not is[place] then equal(math.ult(largest, random.bits(of, place)), true) end
      end
    end
    equal(#choices.masked(key(0), 4096, 0.75), 1024)
  end)
  it("keeps each place as often, by chi-square", function()
    local counts, sum = {}, 0
    for image = 1, 800 do
      for _, place in ipairs(choices.masked(key(image), 16, 0.75)) do counts[place] = (counts[place] or 0) + 1 end
    end
    for place = 0, 15 do sum = sum + (counts[place] - 200) ^ 2 / 200 end
    assert(sum < 15 + 4 * math.sqrt(30), sum)
  end)
end)

describe("ShED's choice", function()
  it("is one cycle through as many places as are moved", function()
    for image = 0, 80 do
      local places = 1 + image
      local from, moved = choices.moved(key(image), places, 0.15)
      local count, first, received = 0, nil, {}
      for place = 0, places - 1 do
        equal(received[from[place + 1]], nil, "each embedding is somewhere once")
        received[from[place + 1]] = true
        equal(moved[place + 1], from[place + 1] ~= place)
        if moved[place + 1] then count, first = count + 1, first or place end
      end
      local expected = (15 * places + 99) // 100
      equal(count, expected > 1 and expected or 0)
      local at, length = first, 0
      while first do
        at, length = from[at + 1], length + 1
        if at == first then break end
      end
      equal(length, count)
    end
  end)
end)

describe("e-Mix's choice", function()
  it("is a permutation, and shares of a half and more", function()
    local sum, squares, fixed, n = 0, 0, 0, 0
    for step = 1, 150 do
      local shares, partners = choices.mixed(9, step, 8)
      local seen = {}
      for i, partner in ipairs(partners) do
        seen[partner] = true
        fixed = fixed + (partner == i - 1 and 1 or 0)
        assert(shares[i] >= 0.5 and shares[i] <= 1)
        sum, squares, n = sum + shares[i], squares + shares[i] ^ 2, n + 1
      end
      for i = 0, 7 do equal(seen[i], true) end
    end
    assert(math.abs(sum / n - 0.75) < 4 * 0.25 / math.sqrt(3 * n), sum / n)
    assert(math.abs(squares / n - 7 / 12) < 0.03, squares / n)
    assert(fixed > 90 and fixed < 210, fixed) -- one a permutation, about
  end)
end)
