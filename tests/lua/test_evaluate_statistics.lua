-- SPDX-License-Identifier: Apache-2.0
-- What is said of lists of values, against distributions that are known.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local statistics, summary = require "evaluate.statistics", require "evaluate.summary"

local function near(found, expected, by)
  assert(math.abs(found - expected) <= by, ("expected %g, found %g"):format(expected, found))
end

describe("the generator", function()
  it("is SplitMix64 of a counter, whose first numbers are published", function()
    -- Of seed 0: e220a8397b1dcdaf, 6e789e6aa1b965f4, 06c45d188009454f (Vigna's splitmix64.c).
    for i, expected in ipairs { 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f } do
      equal(statistics.draw(0, i - 1, 1000003), (expected >> 1) % 1000003)
    end
  end)
end)

describe("a list of values", function()
  it("has mean, median, worst and range", function()
    local of = statistics.of({ 0.9, 0.5, 0.8, 0.6 }, true)
    near(of.mean, 0.7, 1e-12)
    near(of.median, 0.7, 1e-12)
    equal({ of.worst, of.low, of.high, of.n }, { 0.5, 0.5, 0.9, 4 })
    equal(statistics.of({ 3, 9 }, false).worst, 9)
    equal(statistics.of({}, true), { n = 0 })
    equal(statistics.quantile({ 1, 2, 4 }, 0.75), 3.0)
  end)
end)

describe("the bootstrap", function()
  local function units(n)
    local list = {}
    for i = 1, n do list[i] = "p" .. i end
    return list
  end
  it("of ten units of 0 or 1 has the quantiles of the binomial distribution", function()
    -- Of Binomial(10, 1/2) the 2.5 % point is 2, the 97.5 % point 8: P(X <= 1) = 0.0107, P(X <= 2) = 0.0547.
    local found = statistics.intervals({ { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 } }, units(10), {}, 7)
    equal(found[1], { 0.2, 0.8 })
  end)
  it("of a hundred values is the mean and 1.96 standard errors, about", function()
    local column = {}
    for i = 1, 100 do column[i] = (i - 0.5) / 100 end
    local found = statistics.intervals({ column }, units(100), {}, 1)[1]
    near(found[1], 0.5 - 1.96 * 0.0288661, 0.003)
    near(found[2], 0.5 + 1.96 * 0.0288661, 0.003)
    equal(found, statistics.intervals({ column }, units(100), {}, 1)[1])
    assert(statistics.intervals({ column }, units(100), {}, 2)[1][1] ~= found[1], "the seed changes nothing")
  end)
  it("draws patients, not their images", function()
    -- Ten images of each of eight patients, alike within a patient: as wide as with one image of each.
    local column, names, single = {}, {}, {}
    for p = 1, 8 do
      single[p] = p % 2
      for i = 1, 10 do column[10 * (p - 1) + i], names[10 * (p - 1) + i] = p % 2, "p" .. p end
    end
    equal(statistics.intervals({ column }, names, {}, 3)[1], statistics.intervals({ single }, units(8), {}, 3)[1])
  end)
  it("is paired, leaves out what is undefined, and averages classes", function()
    local a, b, holes = {}, {}, {}
    for i = 1, 12 do a[i], b[i], holes[i] = i / 12, i / 12 + 0.25, i > 5 and i / 12 or false end
    local found, groups = statistics.intervals({ a, b, holes }, units(12), { { 1, 2 }, { 1, 3 } }, 5)
    near(found[2][1] - found[1][1], 0.25, 1e-12)
    near(groups[1][2], found[1][2] + 0.125, 1e-12)
    equal({ found[3], groups[2] }, { false, false }) -- seven patients have it
  end)
  it("says none below eight patients", function()
    equal(statistics.intervals({ { 1, 2, 3 } }, units(3), { { 1 } }, 1), { false })
  end)
end)

describe("a summary", function()
  local function result(case, patient, ...)
    local rows = {}
    for i, row in ipairs { ... } do
      rows[i] = { class = row[1], clicks = row[2], dice = row[3], hd95_pooled = row[4], truth_pixels = row[5] or 9,
        pred_pixels = row[6] or 9 }
    end
    return { case = case, patient = patient, rows = rows }
  end
  local results = {
    result("a", "p", { "x", 1, 0.5, 4 }, { "x", 3, 0.75, 2 }, { "y", 1, nil, nil, 0, 5 }, { "y", 3, nil, nil, 0, 0 }),
    result("b", "p", { "x", 1, 1.0, 1 }, { "x", 3, 1.0, 0 }, { "y", 1, 0.25, 8 }, { "y", 3, 0, nil, 9, 0 }),
  }
  it("leaves out absent classes and distances that are none, and counts them", function()
    local made = summary.of(results, { hd95 = "pooled", seed = 1 })
    equal({ made.classes, made.clicks, made.cases, made.patients }, { { "x", "y" }, { 1, 3 }, 2, 1 })
    local x, y = made.cells.dice[1].cells[1], made.cells.dice[1].cells[2]
    equal({ x.mean, x.n, x.units, x.worst, x.interval }, { 0.75, 2, 1, 0.5, false })
    equal({ y.mean, y.n, y.absent, y.false_masks }, { 0.25, 1, 1, 1 })
    equal({ made.cells.dice[2].cells[2].mean, made.cells.hd95[2].cells[2].without }, { 0.0, 2 })
    equal({ made.cells.dice[1].average.mean, made.cells.dice[1].average.classes }, { 0.5, 2 })
    equal(made.cells.hd95[1].cells[1].worst, 4)
  end)
  it("of differences pairs cases, classes and clicks", function()
    local other = { result("b", "p", { "x", 1, 0.5, 3 }), result("a", "p", { "x", 1, 0.25, nil }) }
    local rows, left = summary.differences(results, other)
    equal({ rows[1].rows[1].dice, rows[1].rows[1].hd95_pooled, rows[2].rows[1].hd95_pooled, left },
      { 0.25, nil, -2, 6 })
  end)
end)
