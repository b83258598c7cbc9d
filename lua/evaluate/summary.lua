-- SPDX-License-Identifier: Apache-2.0
--- What the cases come to: for each metric, class and number of clicks what the tables say.
local statistics = require "evaluate.statistics"

local summary = {}

--- The metrics of the tables: `higher` is whether more is better.
summary.metrics = {
  { name = "dice", title = "Dice", higher = true }, { name = "iou", title = "IoU", higher = true },
  { name = "hd95", title = "HD95", higher = false },
}

-- The orders of classes and of clicks as the results have them.
local function orders(results)
  local classes, clicks, known = {}, {}, {}
  for _, result in ipairs(results) do
    for _, row in ipairs(result.rows) do
      for list, value in pairs { [classes] = row.class, [clicks] = row.clicks } do
        local key = (list == classes and "class " or "clicks ") .. tostring(value)
        if not known[key] then known[key], list[#list + 1] = true, value end
      end
    end
  end
  table.sort(clicks, function(a, b)
    local x, y = math.tointeger(a) or -1, math.tointeger(b) or -1
    return x < y
  end)
  return classes, clicks
end

--- A row's value of a metric; false where it has none. @param hd95 pooled, max or area
function summary.value(row, metric, hd95)
  return row[metric == "hd95" and "hd95_" .. hd95 or metric] or false
end

-- All rows of a class and a number of clicks, a case each, false where a case has none.
local function rows_of(results, class, clicks)
  local list = {}
  for i, result in ipairs(results) do
    list[i] = false
    for _, row in ipairs(result.rows) do
      if row.class == class and row.clicks == clicks then list[i] = row end
    end
  end
  return list
end

-- What one column of values comes to.
local function cell_of(column, rows, units, metric)
  local values, absent, none, negative = {}, 0, 0, 0
  for i, row in ipairs(rows) do
    if column[i] then values[#values + 1] = column[i] end
    if row then
      if row.truth_pixels == 0 then absent = absent + 1 end
      if row.truth_pixels == 0 and row.pred_pixels > 0 then negative = negative + 1 end
      if metric.name == "hd95" and not column[i] then none = none + 1 end
    end
  end
  local cell = statistics.of(values, metric.higher)
  cell.units, cell.absent, cell.false_masks = statistics.units(column, units), absent, negative
  cell.without = none
  return cell
end

local function patients(results)
  local units = {}
  for i, result in ipairs(results) do units[i] = result.patient end
  return units
end

-- The mean of classes' means, of those that have one; of how many.
local function average_of(cells)
  local sum, n = 0, 0
  for _, cell in ipairs(cells) do
    if cell.mean then sum, n = sum + cell.mean, n + 1 end
  end
  return n > 0 and { mean = sum / n, classes = n } or { classes = 0 }
end

-- The columns of all cells, and the cells without intervals.
local function cells_of(results, made, options)
  local columns, groups, units = {}, {}, patients(results)
  for _, metric in ipairs(summary.metrics) do
    local of_metric = {}
    made.cells[metric.name] = of_metric
    for k, clicks in ipairs(made.clicks) do
      local row, members = {}, {}
      for c, class in ipairs(made.classes) do
        local rows, column = rows_of(results, class, clicks), {}
        for i, one in ipairs(rows) do
          column[i] = one and options.keeps(one, metric.name) and summary.value(one, metric.name, options.hd95)
        end
        row[c] = cell_of(column, rows, units, metric)
        columns[#columns + 1] = column
        row[c].column = #columns
        if row[c].n > 0 then members[#members + 1] = #columns end
      end
      groups[#groups + 1] = members
      of_metric[k] = { cells = row, average = average_of(row), group = #groups }
    end
  end
  return columns, groups, units
end

--- Summarise results.
-- @param results of journal.collect, in order: { case, patient, rows = { { class, clicks, dice, iou, hd95_pooled, ...
--   } } }
-- @param options { hd95, seed, keeps = function(row, metric name) -> whether it counts, all unless given }
-- @return { classes, clicks, cases, patients = how many, cells[metric name][k] = of the k-th number of clicks {
--   cells = one a class: { n, units, mean, median, worst, low, high, interval = { low, high } or false, absent = cases
--   without the class, false_masks = of these, with a mask all the same, without = cases with no HD95 }, average = {
--   mean of the classes' means, classes = of how many, interval } } }
function summary.of(results, options)
  local classes, clicks = orders(results)
  local made = { classes = classes, clicks = clicks, cases = #results, cells = {} }
  options = { hd95 = options.hd95, seed = options.seed, keeps = options.keeps or function() return true end }
  local columns, groups, units = cells_of(results, made, options)
  made.patients = statistics.units(units, units)
  local of_columns, of_groups = statistics.intervals(columns, units, groups, options.seed)
  for _, of_metric in pairs(made.cells) do
    for _, row in ipairs(of_metric) do
      for _, cell in ipairs(row.cells) do cell.interval = of_columns[cell.column] end
      row.average.interval = of_groups[row.group]
    end
  end
  return made
end

--- Differences of two evaluations of the same cases: results whose values are ours minus theirs, where both have one.
-- What only one has is left out.
-- @return results, how many rows of ours were left out, how many both have
function summary.differences(ours, theirs)
  local known, list, left, common = {}, {}, 0, 0
  for _, result in ipairs(theirs) do
    for _, row in ipairs(result.rows) do
      known[("%s\n%s\n%s"):format(result.case, row.class, row.clicks)] = row
    end
  end
  for i, result in ipairs(ours) do
    local rows = {}
    for _, row in ipairs(result.rows) do
      local other = known[("%s\n%s\n%s"):format(result.case, row.class, row.clicks)]
      if not other then left = left + 1 else
        local difference = { class = row.class, clicks = row.clicks, truth_pixels = row.truth_pixels,
          pred_pixels = row.pred_pixels }
        for _, name in ipairs { "dice", "iou", "hd95_pooled", "hd95_max", "hd95_area" } do
          local alike = not name:match "^hd95" or row.unit == other.unit
          if alike and row[name] and other[name] then difference[name] = row[name] - other[name] end
        end
        rows[#rows + 1], common = difference, common + 1
      end
    end
    list[i] = { case = result.case, patient = result.patient, rows = rows }
  end
  return list, left, common
end

return summary
