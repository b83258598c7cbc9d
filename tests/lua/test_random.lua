-- SPDX-License-Identifier: Apache-2.0
-- Random numbers of a counter: published numbers, the definition in Lua, distributions.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local random = spec.host "msagen.random"
if not random then return end

local GOLDEN = -7046029254386353131 -- 0x9e3779b97f4a7c15

-- SplitMix64 as its authors define it, and the inverse of its finaliser, by which a test chooses the bits.
local function mix(z)
  z = (z ~ z >> 30) * -4658895280553007687
  z = (z ~ z >> 27) * -7723592293110705685
  return z ~ z >> 31
end
local function inverse(a) -- of an odd number, modulo 2^64
  local x = a
  for _ = 1, 6 do x = x * (2 - a * x) end
  return x
end
local function unmix(z)
  z = z ~ z >> 31 ~ z >> 62
  z = z * inverse(-7723592293110705685)
  z = z ~ z >> 27 ~ z >> 54
  z = z * inverse(-4658895280553007687)
  return z ~ z >> 30 ~ z >> 60
end
local function key_of(bits) return unmix(bits) - GOLDEN end

local function near(found, expected, by, what)
  assert(math.abs(found - expected) <= by, ("%s: expected %.17g, found %.17g"):format(what or "", expected, found))
end

describe("bits", function()
  it("are SplitMix64's published ones", function()
    -- Of seed 0, and of seed 1234567 (Vigna's splitmix64.c).
    for i, expected in ipairs { 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f } do
      equal(random.bits(0, i - 1), expected)
    end
    for i, expected in ipairs { 6457827717110365317, 3203168211198807973, -8629252141511181193, 4593380528125082431,
      -2037821214251327795 } do equal(random.bits(1234567, i - 1), expected) end
  end)
  it("are those of the definition, for any key and number", function()
    for i = 1, 200 do
      local key, at = mix(i), mix(-i) >> (i % 64)
      equal(random.bits(key, at), mix(key + (at + 1) * GOLDEN))
      equal(random.bits(key_of(at), 0), at, "the inverse")
    end
  end)
  it("of a key of parts are numbers of numbers", function()
    equal(random.key(7), 7)
    equal(random.key(7, 3, 0, 12), random.bits(random.bits(random.bits(7, 3), 0), 12))
    local seen, count = {}, 0
    for step = 0, 9 do
      for image = 0, 9 do
        for use = 1, 9 do seen[random.key(1, step, image, use)] = true end
      end
    end
    for _ in pairs(seen) do count = count + 1 end
    equal(count, 900)
  end)
end)

describe("a whole number below n", function()
  it("is the bits modulo n", function()
    for i = 0, 300 do
      local n = (mix(i) >> (1 + i % 62)) + 1
      local found = random.below(5, i, n)
      assert(found >= 0 and found < n)
      if n < 1 << 31 then
        local bits = mix(5 + (i + 1) * GOLDEN)
        equal(found, ((bits >> 32) % n * ((1 << 32) % n) + (bits & 0xffffffff) % n) % n)
      end
    end
  end)
  it("draws anew where bits lie beyond the largest multiple", function()
    -- 2^64 mod 3 = 1: the last value alone is beyond.
    local function modulo(bits, n) return math.ult(bits, 0) and 0 or ((bits >> 1) % n * 2 + (bits & 1)) % n end
    equal(random.below(key_of(-1), 0, 3), modulo(mix(-1 + GOLDEN), 3))
    equal(random.below(key_of(-2), 0, 3), modulo(-2, 3))
    -- Of n = 2^62 + 1 the values from 3 n on: a quarter.
    local n = (1 << 62) + 1
    local limit = 3 * n
    local again = 0
    for i = 0, 399 do
      local bits = mix(9 + (i + 1) * GOLDEN)
      while not math.ult(bits, limit) do
        again = again + 1
        bits = mix(bits + GOLDEN)
      end
      local rest = bits
      while not math.ult(rest, n) do rest = rest - n end
      equal(random.below(9, i, n), rest)
    end
    assert(again > 60, "few were beyond")
    equal(random.below(0, 0, 1), 0)
    for _, wrong in ipairs { 0, -1 } do equal(pcall(random.below, 0, 0, wrong), false) end
  end)
  it("is any of them as often, by chi-square", function()
    for _, n in ipairs { 2, 7, 60 } do
      local counts, trials, sum = {}, 200 * n, 0
      for i = 0, trials - 1 do
        local k = random.below(random.key(3, n), i, n)
        counts[k] = (counts[k] or 0) + 1
      end
      for k = 0, n - 1 do sum = sum + (counts[k] - 200) ^ 2 / 200 end
      assert(sum < n - 1 + 4 * math.sqrt(2 * (n - 1)), ("chi-square %g of %d"):format(sum, n))
    end
  end)
end)

describe("a number of [0, 1)", function()
  it("is the upper 53 bits", function()
    for i = 0, 99 do equal(random.unit(11, i), (mix(11 + (i + 1) * GOLDEN) >> 11) * 0x1p-53) end
    equal(random.unit(key_of(-1), 0), 1 - 0x1p-53)
    equal(random.unit(key_of(0), 0), 0.0)
  end)
end)

describe("a normal deviate", function()
  it("is the inverse of the distribution", function()
    -- Python's statistics.NormalDist().inv_cdf at the same shares.
    for bits, expected in pairs {
      [0x0] = -8.209536151601386,
      [0x1000] = -8.076571004130123,
      [0x123456789abcdef] = -2.6162982036439675,
      [0x1333333333333000] = -1.4395314709384552,
      [0x7fffffffffffffff] = -2.7829164246717676e-16,
      [0x8000000000000000] = 2.7829164246717676e-16,
      [0xf999999999999999] = 1.9599639845400536,
      [0xffffffffffffffff] = 8.209536151601386,
      [0xfff000] = -7.047717248752892,
    } do
      near(random.normal(key_of(bits), 0), expected, 4e-16 * math.max(1, math.abs(expected)), ("%x"):format(bits))
    end
  end)
  it("has the same bits everywhere", function()
    -- Of x86-64 (gcc, clang, with and without FMA), AArch64 and ARMv7.
    local parts = {}
    for i = 0, 4999 do parts[i + 1] = string.pack("<d", random.normal(7, i)) end
    equal(require("msagen.sha256").hex(table.concat(parts)),
      "fcf302ef36566de83f5c07b423801d25e6a5e6e10a4873b861cbefeb9c9db1d8")
  end)
  it("is as likely as its opposite, to the last bit", function()
    for i = 0, 99 do
      local bits = mix(i)
      equal(random.normal(key_of(~bits), 0), -random.normal(key_of(bits), 0))
    end
  end)
  it("has the moments of the distribution", function()
    local n, sum, squares, fourth, far = 20000, 0, 0, 0, 0
    for i = 0, n - 1 do
      local x = random.normal(21, i)
      sum, squares, fourth = sum + x, squares + x * x, fourth + x ^ 4
      far = far + (math.abs(x) > 1.959963984540054 and 1 or 0)
    end
    near(sum / n, 0, 4 / math.sqrt(n), "mean")
    near(squares / n, 1, 4 * math.sqrt(2 / n), "variance")
    near(fourth / n, 3, 4 * math.sqrt(96 / n), "kurtosis")
    near(far / n, 0.05, 4 * math.sqrt(0.05 * 0.95 / n), "tails")
  end)
end)

describe("an order", function()
  it("is that of the bits, and a choice its beginning", function()
    for n = 0, 40 do
      local expected = {}
      for i = 1, n do expected[i] = i - 1 end
      table.sort(expected, function(a, b) return math.ult(random.bits(n, a), random.bits(n, b)) end)
      equal(random.order(n, n), expected)
      equal(random.order(n, n, n // 3), table.move(expected, 1, n // 3, 1, {}))
    end
    equal(pcall(random.order, 0, 3, 4), false)
    equal(pcall(random.order, 0, -1), false)
  end)
  it("has each number as often in each place, by chi-square", function()
    local counts, sum = {}, 0
    for round = 1, 1200 do
      for at, number in ipairs(random.order(random.key(77, round), 6)) do
        local cell = at * 6 + number
        counts[cell] = (counts[cell] or 0) + 1
      end
    end
    for _, count in pairs(counts) do sum = sum + (count - 200) ^ 2 / 200 end
    assert(sum < 25 + 4 * math.sqrt(50), ("chi-square %g"):format(sum))
  end)
end)

describe("tensors", function()
  it("hold number i at element i, rounded once", function()
    local uniform, normals = random.uniform(4, { 3, 5 }, -0.25, 0.25), random.normals(4, { 2, 4 }, 3)
    equal({ uniform.dtype, uniform.shape, normals.shape }, { "f32", { 3, 5 }, { 2, 4 } })
    local function single(x) return (string.unpack("<f", string.pack("<f", x))) end
    for i, x in ipairs(uniform:totable()) do equal(x, single(-0.25 + 0.5 * random.unit(4, i - 1))) end
    for i, x in ipairs(normals:totable()) do equal(x, single(3 * random.normal(4, i - 1))) end
  end)
end)
