-- SPDX-License-Identifier: Apache-2.0
--- What the page of an evaluation shows (lua/report/evaluation_page.lua says in which form).
local build_facts = require "report.build_facts"
local sys = require "msagen.sys"
local tables = require "evaluate.tables"

local page_data = {}

-- Published Dice as the page has it, 0 to 1: a row a method and class.
local function published_rows(printed, made, rows)
  for _, row in ipairs(printed and printed.rows or {}) do
    for i, column in ipairs(printed.columns) do
      local value = tonumber(row[i + 1])
      if value and column.metric == "dice" and not column.average then
        local class = column.title:gsub("_dice$", "")
        for _, name in ipairs(made.classes) do
          if column.is(name) then class = name end
        end
        rows[#rows + 1] = { published = true, method = row[1], class = class, mean = value / printed.scale }
      end
    end
  end
end

local function our_rows(made, about, rows)
  for k, clicks in ipairs(made.clicks) do
    for c, class in ipairs(made.classes) do
      local dice, hd95 = made.cells.dice[k].cells[c], made.cells.hd95[k].cells[c]
      rows[#rows + 1] = { method = about.model, clicks = math.tointeger(clicks) or tables.prompt(clicks), class = class,
        n = dice.n, mean = dice.mean, low = dice.interval and dice.interval[1] or nil,
        high = dice.interval and dice.interval[2] or nil,
        range = not dice.interval and { dice.low, dice.high } or nil, median = dice.median, worst = dice.worst,
        iou = made.cells.iou[k].cells[c].mean, hd95 = hd95.mean, hd95_n = hd95.n }
    end
  end
end

local function cases_of(results, about)
  local list = {}
  for _, result in ipairs(results) do
    for _, row in ipairs(result.rows) do
      if row.truth_pixels > 0 or about.mode == "msa" then
        list[#list + 1] = { case = result.case, patient = result.patient, class = row.class,
          clicks = math.tointeger(row.clicks) or tables.prompt(row.clicks), dice = row.dice, iou = row.iou,
          hd95 = row.unit == about.unit and row["hd95_" .. about.hd95] or nil }
      end
    end
  end
  return list
end

local function pictures_of(looked)
  local list = {}
  for i, one in ipairs(looked) do
    list[i] = { title = ("%s: %s"):format(one.what, one.case), png = sys.read_file(one.path),
      caption = ("%s, %s, Dice %.3f%s"):format(one.class, tables.prompt(one.clicks), one.dice,
        one.slice and (", slice %d"):format(one.slice) or "") }
  end
  return list
end

local function made_of(evaluation, about)
  local list = { { name = "Data", value = ("%s (%s), SHA-256 %s"):format(about.data, evaluation.set.layout,
    evaluation.binding.data) } }
  for i, line in ipairs(about.definitions) do list[i + 1] = { name = i == 1 and "Definitions" or "", value = line } end
  for _, one in ipairs(build_facts.made(evaluation.folder)) do list[#list + 1] = one end
  return list
end

--- @param evaluation, results, made, about as evaluate.outputs has them
-- @param printed of published.read, or nil  @param looked of worst.write
function page_data.of(evaluation, results, made, about, printed, looked)
  local rows, folder = {}, evaluation.folder
  published_rows(printed, made, rows)
  our_rows(made, about, rows)
  return { title = ("%s on %s"):format(about.model, about.data), rows = rows, cases = cases_of(results, about),
    pictures = pictures_of(looked), model = build_facts.model(folder), memory = build_facts.memory(folder),
    layers = build_facts.layers(folder), made = made_of(evaluation, about), unit = about.unit }
end

return page_data
