-- SPDX-License-Identifier: Apache-2.0
--- table.md and table.csv: in the form of the paper's tables, published rows first and marked, then ours; below them
-- ours in full. Nothing is bold: numbers of other data are not to be compared by print.
local csv = require "evaluate.csv"
local layer_errors = require "run.layer_errors"
local published = require "evaluate.published"
local summary = require "evaluate.summary"

local tables = {}

--- "1 click", "10 clicks", "own prompt".
function tables.prompt(clicks)
  if clicks == 0 then return "text alone" end
  if clicks == 1 then return "1 click" end
  return math.tointeger(clicks) and ("%d clicks"):format(clicks) or "the data set's prompts"
end

local function unit_of(about, metric) return metric.name == "hd95" and about.unit or nil end

--- A number as the tables print it: Dice and IoU three digits (one in per cent), distances two.
local function shown(value, metric, scale)
  if not value then return "" end
  if metric.name == "hd95" then return ("%.2f"):format(value) end
  return (scale == 100 and "%.1f" or "%.3f"):format(value * (scale or 1))
end

-- The columns of a table in the paper's form: published ones where there are any, then classes that these lack.
local function columns_of(metric, made, printed)
  local columns, used = {}, {}
  for i, column in ipairs(printed and printed.columns or {}) do
    if column.metric == metric.name then
      local class
      for c, name in ipairs(made.classes) do
        if not column.average and not used[c] and column.is(name) then class = c end
      end
      if class then used[class] = true end
      columns[#columns + 1] = { title = column.title, class = class, average = column.average, printed = i }
    end
  end
  local at = #columns > 0 and columns[#columns].average and #columns or #columns + 1
  for c, name in ipairs(made.classes) do
    if not used[c] then
      table.insert(columns, at, { title = name, class = c })
      at = at + 1
    end
  end
  if #made.classes > 1 and not (columns[at] and columns[at].average) then
    columns[#columns + 1] = { title = "Avg", average = true }
  end
  return columns
end

local function cell_text(text) return (text:gsub("|", "\\|"):gsub("[<>&]", { ["<"] = "&lt;", [">"] = "&gt;",
  ["&"] = "&amp;" })) end

local function markdown_row(texts)
  local cells = {}
  for i, text in ipairs(texts) do cells[i] = cell_text(text) end
  return "| " .. table.concat(cells, " | ") .. " |\n"
end

local function markdown_table(rows)
  local out, rule = { markdown_row(rows[1]) }, {}
  for i = 1, #rows[1] do rule[i] = i == 1 and "---" or "---:" end
  out[2] = "|" .. table.concat(rule, "|") .. "|\n"
  for i = 2, #rows do out[#out + 1] = markdown_row(rows[i]) end
  return table.concat(out)
end

-- The rows of a table in the paper's form, the header first.
local function form_rows(metric, made, printed, about)
  local columns = columns_of(metric, made, printed)
  local rows, scale = { { "method" } }, printed and printed.scale or 1
  for i, column in ipairs(columns) do rows[1][i + 1] = column.title end
  for _, row in ipairs(printed and printed.rows or {}) do
    local texts, any = { row[1] .. " " .. published.MARK }, false
    for i, column in ipairs(columns) do
      texts[i + 1] = column.printed and row[column.printed + 1] or ""
      any = any or texts[i + 1] ~= ""
    end
    if any then rows[#rows + 1] = texts end
  end
  for k, clicks in ipairs(made.clicks) do
    local of = made.cells[metric.name][k]
    local texts = { ("%s, %s"):format(about.model, tables.prompt(clicks)) }
    for i, column in ipairs(columns) do
      local mean = column.average and of.average.mean or column.class and of.cells[column.class].mean
      texts[i + 1] = shown(mean, metric, scale)
    end
    rows[#rows + 1] = texts
  end
  return rows
end

local function heading(metric, about, printed)
  local unit = unit_of(about, metric)
  local scale = printed and printed.scale == 100 and metric.name ~= "hd95" and " in %" or ""
  return ("## %s%s%s\n\n"):format(metric.title, unit and (" in " .. unit) or "", scale)
end

-- "0.912 to 0.941", or the range where there are too few patients for an interval.
local function spread(cell, metric)
  if cell.interval then return ("%s to %s"):format(shown(cell.interval[1], metric), shown(cell.interval[2], metric)) end
  if cell.n == 0 or not cell.low then return "" end
  return ("range %s to %s"):format(shown(cell.low, metric), shown(cell.high, metric))
end

-- Ours in full: a row a class and number of clicks.
local function full_rows(made)
  local rows = { { "class", "prompt", "metric", "n", "patients", "mean", "95 % interval", "median", "worst", "absent",
    "absent, but found", "no HD95" } }
  for c, class in ipairs(made.classes) do
    for k, clicks in ipairs(made.clicks) do
      for _, metric in ipairs(summary.metrics) do
        local cell = made.cells[metric.name][k].cells[c]
        if cell.n > 0 or metric.name == "dice" then
          rows[#rows + 1] = { class, tables.prompt(clicks), metric.title, tostring(cell.n), tostring(cell.units),
            shown(cell.mean, metric), spread(cell, metric), shown(cell.median, metric), shown(cell.worst, metric),
            tostring(cell.absent), tostring(cell.false_masks), metric.name == "hd95" and tostring(cell.without) or "" }
        end
      end
    end
  end
  return rows
end

-- The mean over classes, with its interval, where there are several.
local function average_rows(made)
  local rows = { { "prompt", "metric", "mean of the classes' means", "95 % interval", "classes" } }
  for k, clicks in ipairs(made.clicks) do
    for _, metric in ipairs(summary.metrics) do
      local average = made.cells[metric.name][k].average
      if average.mean then
        rows[#rows + 1] = { tables.prompt(clicks), metric.title, shown(average.mean, metric),
          average.interval and spread(average, metric) or "", tostring(average.classes) }
      end
    end
  end
  return rows
end

-- How alike masks of the same prompts are: a row a class and prompt.
local function agreement_rows(list)
  local rows = { { "class", "prompt", "n", "IoU", "worst IoU", "Dice", "worst Dice", "pixels that differ", "most" } }
  for i, one in ipairs(list) do
    local words = { one.class, tables.prompt(one.clicks), tostring(one.n) }
    for _, value in ipairs { one.iou, one.dice } do
      words[#words + 1], words[#words + 2] = ("%.4f"):format(value.mean), ("%.4f"):format(value.worst)
    end
    words[#words + 1], words[#words + 2] = ("%.3f %%"):format(100 * one.flipped.mean),
      ("%.3f %%"):format(100 * one.flipped.worst)
    rows[i + 1] = words
  end
  return rows
end

local function has_values(made, metric)
  for _, row in ipairs(made.cells[metric.name]) do
    for _, cell in ipairs(row.cells) do
      if cell.n > 0 then return true end
    end
  end
  return false
end

--- What error by layer is of.
function tables.layers_heading(of)
  return ("beside float32, of %s, %s, %s:"):format(cell_text(of.case), cell_text(of.class), tables.prompt(of.clicks))
end

--- table.md.
-- @param made of summary.of
-- @param about { model, data = their names, unit = of HD95, definitions = lines, against = nil or { name, made = of
--   summary.of of differences, left } }
-- @param printed of published.read, or nil
function tables.markdown(made, about, printed)
  local out = { "<!-- Made by msagen evaluate. -->\n# ", cell_text(about.data), "\n\n" }
  local function put(...) for _, text in ipairs { ... } do out[#out + 1] = text end end
  put(("%d case%s of %d patient%s. Measured: %s.\n\n"):format(made.cases, made.cases == 1 and "" or "s",
    made.patients, made.patients == 1 and "" or "s", cell_text(about.model)))
  for _, metric in ipairs(summary.metrics) do
    if has_values(made, metric) then
      put(heading(metric, about, printed), markdown_table(form_rows(metric, made, printed, about)), "\n")
    end
  end
  if printed then put(("%s %s (%s).\n\n"):format(published.MARK, published.NOTE, printed.caption)) end
  put("## Ours in full\n\n", markdown_table(full_rows(made)), "\n")
  if #made.classes > 1 then put(markdown_table(average_rows(made)), "\n") end
  if about.agreement then
    put(("## Masks beside those of %s, of the same prompts\n\n"):format(cell_text(about.against.name)),
      markdown_table(agreement_rows(about.agreement)), "\n")
  end
  if about.layers then
    put("## Error by layer\n\n", tables.layers_heading(about.layers), "\n\n",
      markdown_table(layer_errors.rows(about.layers.layers, about.layers.ends)), "\n")
  end
  if about.against then
    put(("## Differences: %s minus %s\n\n"):format(cell_text(about.model), cell_text(about.against.name)),
      markdown_table(full_rows(about.against.made)), "\n")
    local left = about.against.left
    if left > 0 then put(("Left out, as the other has none: %d of our rows.\n\n"):format(left)) end
  end
  for _, line in ipairs(about.definitions) do put("- ", line, "\n") end
  return table.concat(out)
end

-- Rows of texts as columns.
local function aligned(rows)
  local width, out = {}, {}
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do width[i] = math.max(width[i] or 0, utf8.len(text) or #text) end
  end
  for _, row in ipairs(rows) do
    local parts = {}
    for i, text in ipairs(row) do parts[i] = text .. (" "):rep(width[i] - (utf8.len(text) or #text)) end
    out[#out + 1] = table.concat(parts, "  "):gsub("%s+$", "") .. "\n"
  end
  return table.concat(out)
end

--- How alike masks are, for the terminal.
function tables.agreement(list) return aligned(agreement_rows(list)) end

--- Error by layer, for the terminal.
function tables.layers(of) return aligned(layer_errors.rows(of.layers, of.ends)) end

--- The same in short for the terminal: a line a class and number of clicks.
function tables.terminal(made, about)
  local rows = { { "class", "prompt", "n", "Dice", "95 % interval", "IoU", "HD95 " .. about.unit } }
  for c, class in ipairs(made.classes) do
    for k, clicks in ipairs(made.clicks) do
      local line = { class, tables.prompt(clicks) }
      for _, metric in ipairs(summary.metrics) do
        local cell = made.cells[metric.name][k].cells[c]
        if metric.name == "dice" then line[3] = tostring(cell.n) end
        line[#line + 1] = shown(cell.mean, metric)
        if metric.name == "dice" then line[#line + 1] = spread(cell, metric) end
      end
      rows[#rows + 1] = line
    end
  end
  return aligned(rows)
end

local function number(value) return value and ("%.6f"):format(value) or false end

local STATISTICS = {
  { "n", function(cell) return cell.n end }, { "patients", function(cell) return cell.units end },
  { "mean", function(cell) return number(cell.mean) end },
  { "interval_low", function(cell) return cell.interval and number(cell.interval[1]) end },
  { "interval_high", function(cell) return cell.interval and number(cell.interval[2]) end },
  { "median", function(cell) return number(cell.median) end },
  { "worst", function(cell) return number(cell.worst) end },
  { "absent", function(cell) return cell.absent end }, { "no_hd95", function(cell) return cell.without end },
}

local function csv_published(metric, columns, printed, titles, out)
  for _, row in ipairs(printed and printed.rows or {}) do
    local texts, any = { row[1] .. " " .. published.MARK, "published", metric.name, "as printed" }, false
    for i, title in ipairs(titles) do
      local column = columns[title]
      texts[i + 4] = column and column.printed and row[column.printed + 1] or false
      any = any or texts[i + 4] and texts[i + 4] ~= ""
    end
    if any then out[#out + 1] = csv.line(texts) end
  end
end

local function csv_measured(metric, made, columns, about, titles, out)
  for k, clicks in ipairs(made.clicks) do
    local of = made.cells[metric.name][k]
    for _, statistic in ipairs(STATISTICS) do
      local texts = { ("%s, %s"):format(about.model, tables.prompt(clicks)), "measured", metric.name, statistic[1] }
      for i, title in ipairs(titles) do
        local column = columns[title]
        local cell = column and (column.class and of.cells[column.class] or column.average and of.average)
        texts[i + 4] = cell and statistic[2](cell) or false
      end
      out[#out + 1] = csv.line(texts)
    end
  end
end

--- table.csv: the same in the form method,source,metric,statistic and a column a class; published values as they are
-- printed, ours 0 to 1 with six digits.
function tables.csv(made, about, printed)
  local titles, known, by_metric, out = {}, {}, {}, {}
  for _, metric in ipairs(summary.metrics) do
    by_metric[metric.name] = {}
    for _, column in ipairs(columns_of(metric, made, printed)) do
      local title = column.class and made.classes[column.class] or column.title
      by_metric[metric.name][title] = column
      if not known[title] then known[title], titles[#titles + 1] = true, title end
    end
  end
  out[1] = csv.line { "method", "source", "metric", "statistic", table.unpack(titles) }
  for _, metric in ipairs(summary.metrics) do
    csv_published(metric, by_metric[metric.name], printed, titles, out)
  end
  for _, metric in ipairs(summary.metrics) do
    if has_values(made, metric) then csv_measured(metric, made, by_metric[metric.name], about, titles, out) end
  end
  return table.concat(out)
end

return tables
