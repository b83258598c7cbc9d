-- SPDX-License-Identifier: Apache-2.0
--- What is said of a list of values: mean, median, worst, and an interval of the mean by the percentile bootstrap
-- (Efron and Tibshirani 1993, chapter 13). What is drawn are units, patients that is: images of one patient are not
-- independent of each other. Dice has bounds and a skew, so no interval here is a mean and so many deviations.
local random = require "msagen.random"

local statistics = {}

statistics.RESAMPLES = 10000
statistics.LEAST_UNITS = 8 -- with fewer the range is said instead
statistics.LEVEL = 0.95

--- Number i, from 0, of a seed's stream: a whole number below n.
function statistics.draw(seed, i, n) return (random.bits(seed, i) >> 1) % n end

--- The value at a share of a sorted list, linear between neighbours (position (n - 1) share).
function statistics.quantile(sorted, share)
  local at = (#sorted - 1) * share
  local below = math.floor(at)
  local low, high = sorted[below + 1], sorted[math.min(below + 2, #sorted)]
  return low + (high - low) * (at - below)
end

--- Mean, median and worst of values.
-- @param higher whether more is better, so the lowest is the worst
-- @return { n, mean, median, worst, low, high }: low and high are the range; of no values { n = 0 }
function statistics.of(values, higher)
  if #values == 0 then return { n = 0 } end
  local sorted, sum = table.move(values, 1, #values, 1, {}), 0
  table.sort(sorted)
  for _, v in ipairs(sorted) do sum = sum + v end
  return { n = #sorted, mean = sum / #sorted, median = statistics.quantile(sorted, 0.5),
    worst = higher and sorted[1] or sorted[#sorted], low = sorted[1], high = sorted[#sorted] }
end

-- Columns as sums and counts a unit, and how many units each has.
local function by_unit(columns, units)
  local place, n = {}, 0
  for _, unit in ipairs(units) do
    if not place[unit] then n, place[unit] = n + 1, n + 1 end
  end
  local made = {}
  for c, column in ipairs(columns) do
    local sums, counts, present = {}, {}, 0
    for u = 1, n do sums[u], counts[u] = 0, 0 end
    for i, unit in ipairs(units) do
      local value = column[i]
      if value then
        local u = place[unit]
        if counts[u] == 0 then present = present + 1 end
        sums[u], counts[u] = sums[u] + value, counts[u] + 1
      end
    end
    made[c] = { sums = sums, counts = counts, units = present }
  end
  return made, n
end

-- The mean of a column where unit u is there weights[u] times; nil where that leaves nothing.
local function weighted(column, weights, n)
  local sum, count = 0, 0
  local sums, counts = column.sums, column.counts
  for u = 1, n do
    local w = weights[u]
    if w > 0 then sum, count = sum + w * sums[u], count + w * counts[u] end
  end
  if count > 0 then return sum / count end
end

-- The mean of the means of some columns; nil where one has none.
local function mean_of(means, members)
  local sum = 0
  for _, c in ipairs(members) do
    if not means[c] then return nil end
    sum = sum + means[c]
  end
  return sum / #members
end

local function interval(found)
  if #found == 0 then return nil end
  table.sort(found)
  local tail = (1 - statistics.LEVEL) / 2
  return { statistics.quantile(found, tail), statistics.quantile(found, 1 - tail) }
end

--- Intervals of the means of columns, whose resamples are the same, so that what is compared is paired.
-- @param columns a list of lists: columns[c][i] is a value, or false where it is undefined
-- @param units of the values: units[i], the patient's name. Its order is that of the draws.
-- @param groups a list of lists of column numbers: of each, the mean of the columns' means
-- @param seed a whole number
-- @return a list { low, high } a column and one a group, false where fewer than LEAST_UNITS units have a value
function statistics.intervals(columns, units, groups, seed)
  local made, n = by_unit(columns, units)
  local found, of_groups, weights, means = {}, {}, {}, {}
  for c = 1, #columns do found[c] = {} end
  for g = 1, #groups do of_groups[g] = {} end
  for r = 0, n >= statistics.LEAST_UNITS and statistics.RESAMPLES - 1 or -1 do
    for u = 1, n do weights[u] = 0 end
    for j = 0, n - 1 do
      local u = statistics.draw(seed, r * n + j, n) + 1
      weights[u] = weights[u] + 1
    end
    for c, column in ipairs(made) do
      means[c] = weighted(column, weights, n)
      if means[c] then table.insert(found[c], means[c]) end
    end
    for g, members in ipairs(groups) do table.insert(of_groups[g], mean_of(means, members)) end
  end
  local function enough(c) return made[c].units >= statistics.LEAST_UNITS end
  for c = 1, #columns do found[c] = enough(c) and interval(found[c]) or false end
  for g, members in ipairs(groups) do
    local all = #members > 0
    for _, c in ipairs(members) do all = all and enough(c) end
    of_groups[g] = all and interval(of_groups[g]) or false
  end
  return found, of_groups
end

--- How many units have a value in a column.
function statistics.units(column, units)
  local known, n = {}, 0
  for i, unit in ipairs(units) do
    if column[i] and not known[unit] then n, known[unit] = n + 1, true end
  end
  return n
end

return statistics
