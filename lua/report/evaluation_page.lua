-- SPDX-License-Identifier: Apache-2.0
--- The page of an evaluation, index.html: function(data) -> text.
--
--   data = {
--     title    = text
--     rows     = list of { method, clicks, class, n, mean, low, high, median, worst, published }: one for a method,
--                number of clicks (or the prompt in words, or nil) and class (or nil). mean to worst are of Dice, low
--                and high the 95 % interval of the mean, or range = { lowest, highest } where there are too few
--                patients for one; any of them may be nil. published = true: by the authors, on
--                other data. iou and hd95, means, and hd95_n, in how many cases it is defined, are shown where a row
--                has them
--     cases    = list of { case, patient, class, clicks, dice, iou, hd95 }, hd95 nil where it is not defined
--     unit     = of hd95, mm unless given
--     pictures = list of { title, caption, png = bytes }: worst cases, and the median, with outlines
--     model    = build_facts.model(folder)       memory = build_facts.memory(folder)
--     layers   = build_facts.layers(folder, profile or nil)
--     made     = ordered list of { name, value }: data, options, versions, definitions; build_facts.made(folder) has
--                the build's
--   }
-- Anything but title may be nil or empty. Nothing in it needs to be escaped or ordered but as it is to appear.
local charts = require "report.charts"
local page = require "report.page"
local sections = require "report.sections"

local h = page.element

local WORST = 20 -- cases that are listed

local MARK = "†"
local PUBLISHED = MARK .. " published by the authors on other data; not measured here"

local function clicks_of(value)
  local count = math.tointeger(value)
  if count then return ("%d click%s"):format(count, count == 1 and "" or "s") end
  return value and tostring(value) or "–"
end

local function method_of(row) return row.published and ("%s %s"):format(row.method, MARK) or row.method end

-- The published first, else as they come.
local function in_order(rows)
  local out = {}
  for _, published in ipairs { true, false } do
    for _, row in ipairs(rows) do
      if (row.published or false) == published then out[#out + 1] = row end
    end
  end
  return out
end

-- Values of a field in the order in which they come, nil left out.
local function distinct(list, key)
  local out, seen = {}, {}
  for _, one in ipairs(list) do
    local value = one[key]
    if value ~= nil and not seen[value] then
      out[#out + 1] = value
      seen[value] = true
    end
  end
  return out
end

local function ours(rows)
  local list = {}
  for _, row in ipairs(rows) do
    if not row.published then list[#list + 1] = row end
  end
  return list
end

-- As the paper's tables: a row a method and prompt, a column a class.
local function by_class(rows, classes)
  local list, seen = {}, {}
  for _, row in ipairs(rows) do
    local key = ("%s\0%s\0%s"):format(row.method, row.clicks, row.published)
    if not seen[key] then
      seen[key] = { method_of(row), clicks_of(row.clicks), class = row.published and "published" }
      list[#list + 1] = seen[key]
      for i = 1, #classes do seen[key][i + 2] = "–" end
    end
    for i, class in ipairs(classes) do
      if row.class == class then seen[key][i + 2] = page.decimal(row.mean, 3) end
    end
  end
  local columns = { { name = "method", class = "word" }, { name = "prompt" } }
  for i, class in ipairs(classes) do columns[i + 2] = { name = class, number = true } end
  return page.table { caption = "Mean Dice by class", columns = columns, rows = list }
end

local function has(rows, key)
  for _, row in ipairs(rows) do
    if row[key] ~= nil then return true end
  end
end

-- Two values of Dice, or nil where one is none.
local function between(format, low, high)
  if not page.finite(low) or not page.finite(high) then return nil end
  return format:format(page.decimal(low, 3), page.decimal(high, 3))
end

-- Columns of the table of results: { name, function(row) -> text, present }.
local function columns_of(rows, classes, unit)
  local function dice(key) return function(row) return page.decimal(row[key], 3) end end
  local list = { { "method", method_of, class = "word" },
    { "prompt", function(row) return clicks_of(row.clicks) end } }
  local function put(name, text) list[#list + 1] = { name, text, number = true } end
  if #classes > 0 then list[3] = { "class", function(row) return row.class or "all" end, class = "word" } end
  put("n", function(row) return page.whole(row.n) end)
  put("mean Dice", dice "mean")
  put("95 % interval", function(row) return between("%s to %s", row.low, row.high)
    or row.range and between("range %s to %s", row.range[1], row.range[2]) or "–" end)
  put("median", dice "median")
  put("worst", dice "worst")
  if has(rows, "iou") then put("mean IoU", dice "iou") end
  if has(rows, "hd95") then put("mean HD95, " .. unit, function(row) return page.decimal(row.hd95, 2) end) end
  if has(rows, "hd95_n") then put("HD95 of", function(row) return page.whole(row.hd95_n) end) end
  return list
end

local function all_rows(rows, classes, unit)
  local columns, list = {}, {}
  local of = columns_of(rows, classes, unit)
  for i, column in ipairs(of) do columns[i] = { name = column[1], number = column.number, class = column.class } end
  for i, row in ipairs(rows) do
    list[i] = { class = row.published and "published" }
    for k, column in ipairs(of) do list[i][k] = column[2](row) end
  end
  return page.table { caption = "Dice by method, prompt and class", columns = columns, rows = list }
end

local function results(data)
  local out = { id = "results", title = "Results" }
  local rows = in_order(data.rows or {})
  if #rows == 0 then
    out[1] = page.note "No cases were evaluated."
    return out
  end
  local classes = distinct(rows, "class")
  local printed = rows[1].published
  if #classes > 1 then out[1] = by_class(rows, classes) end
  if printed and out[1] then out[2] = page.note(PUBLISHED) end
  local own = out[1] and ours(rows) or rows
  if #own > 0 then out[#out + 1] = all_rows(own, classes, data.unit or "mm") end
  if printed and #out == 1 then out[2] = page.note(PUBLISHED) end
  return out
end

-- The row of our own with these clicks and this class, for mean and interval.
local function row_for(rows, clicks, class)
  for _, row in ipairs(rows) do
    if not row.published and row.clicks == clicks and row.class == class then return row end
  end
  return {}
end

local function distribution(data)
  local out = { id = "distribution", title = "Distribution of Dice" }
  local cases, cells, order = data.cases or {}, {}, {}
  if #cases == 0 then return out end
  local classes = distinct(cases, "class")
  for _, case in ipairs(cases) do
    local key = ("%s\0%s"):format(case.class, case.clicks)
    local cell = cells[key]
    if not cell then
      local row = row_for(data.rows or {}, case.clicks, case.class)
      cell = { label = clicks_of(case.clicks), class = case.class, values = {}, count = 0, mean = row.mean,
        low = row.low, high = row.high }
      cells[key], order[#order + 1] = cell, cell
    end
    cell.count = cell.count + 1
    cell.values[cell.count] = case.dice
  end
  out[1] = page.note("Bars: cases per 0.05 of Dice, all of one scale within a class. Ticks: single cases. "
    .. "Tall line: median. Dot and line below: mean and its 95 % interval.")
  if #classes < 2 then
    for _, cell in ipairs(order) do
      if cell.class then cell.label = ("%s, %s"):format(cell.class, cell.label) end
    end
    out[2] = charts.distributions(order)
    return out
  end
  for _, class in ipairs(classes) do
    local of = {}
    for _, cell in ipairs(order) do
      if cell.class == class then of[#of + 1] = cell end
    end
    out[#out + 1] = h("h3", nil, class)
    out[#out + 1] = charts.distributions(of)
  end
  return out
end

local CASE = { { "case", key = "case", class = "name" }, { "patient", key = "patient", class = "word" },
  { "class", key = "class", class = "word" }, { "prompt", clicks_of, key = "clicks" }, { "Dice", 3, key = "dice" },
  { "IoU", 3, key = "iou" }, { "HD95", 2, key = "hd95" } }

-- The first cases of a list.
local function lowest(cases, unit)
  local columns, of, rows = {}, {}, {}
  for _, column in ipairs(CASE) do
    if column.key == "case" or has(cases, column.key) then
      of[#of + 1] = column
      local name = column.key == "hd95" and ("%s, %s"):format(column[1], unit) or column[1]
      columns[#columns + 1] = { name = name, number = type(column[2]) == "number", class = column.class }
    end
  end
  for i = 1, math.min(WORST, #cases) do
    rows[i] = {}
    for k, column in ipairs(of) do
      local value, how = cases[i][column.key], column[2]
      rows[i][k] = type(how) == "number" and page.decimal(value, how) or how and how(value) or value or "–"
    end
  end
  local caption = #rows < #cases and ("The %d lowest of %s by Dice; all are in cases.csv"):format(#rows,
    page.whole(#cases)) or "All by Dice, the lowest first"
  return page.table { caption = caption, columns = columns, rows = rows }
end

local function worst(data)
  local out = { id = "worst", title = "Worst cases" }
  local cases = table.move(data.cases or {}, 1, #(data.cases or {}), 1, {})
  if #cases == 0 then return out end
  local index = {}
  for i, case in ipairs(cases) do index[case] = i end
  local function dice(case) return page.finite(case.dice) and case.dice or math.huge end
  table.sort(cases, function(a, b)
    if dice(a) ~= dice(b) then return dice(a) < dice(b) end
    return index[a] < index[b]
  end)
  if data.pictures and #data.pictures > 0 then out[1] = page.pictures(data.pictures) end
  out[#out + 1] = lowest(cases, data.unit or "mm")
  return out
end

return function(data)
  return page.document { title = data.title, subtitle = data.model and sections.model_line(data.model),
    sections = { results(data), distribution(data), worst(data), sections.memory(data.memory),
      sections.layers(data.layers), sections.made(data.made) },
    footer = "Made by msagen, a tool and no medical device: these numbers say nothing about data that are not here." }
end
