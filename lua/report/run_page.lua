-- SPDX-License-Identifier: Apache-2.0
--- The page of one run (`run --report-out`): what was found in an image, with which build.
local build_facts = require "report.build_facts"
local page = require "report.page"
local sections = require "report.sections"

local run_page = {}

-- Columns of the results: field, name, decimals (of numbers; none: a text).
local COLUMNS = { { "name", "prompt", class = "name" }, { "class", "class", class = "name" }, { "status", "status" },
  { "predicted_iou", "predicted IoU", 4 }, { "dice", "Dice", 4 }, { "iou", "IoU", 4 }, { "hd95", "HD95, mm", 2 },
  { "pixels", "pixels", 0 }, { "area", "area, mm²", 1 }, { "volume", "volume, mm³", 1 },
  { "extent", "extent" }, { "centroid", "centroid" } }

local function cell(row, column)
  local value = row[column[1]]
  if not column[3] then return value and tostring(value) or "–" end
  return column[3] == 0 and page.whole(value) or page.decimal(value, column[3])
end

local function results(list)
  local out = { id = "results", title = "Results" }
  if #list == 0 then
    out[1] = page.note "The image was encoded; no prompt asked for a mask."
    return out
  end
  local columns, used, rows = {}, {}, {}
  for _, column in ipairs(COLUMNS) do
    local present = false
    for _, row in ipairs(list) do present = present or row[column[1]] ~= nil end
    if present then
      used[#used + 1] = column
      columns[#columns + 1] = { name = column[2], number = column[3] ~= nil, class = column.class }
    end
  end
  for i, row in ipairs(list) do
    rows[i] = {}
    for k, column in ipairs(used) do rows[i][k] = cell(row, column) end
  end
  out[1] = page.table { caption = "What was found, by prompt", columns = columns, rows = rows }
  return out
end

local function image_section(image)
  local out = { id = "image", title = "Image" }
  if not image then return out end
  local facts = { { name = "File", value = image.name } }
  if image.width then
    facts[2] = { name = "Size", value = ("%d × %d%s"):format(image.width, image.height,
      (image.slices or 1) > 1 and (", %d slices"):format(image.slices) or "") }
  end
  for _, fact in ipairs(image.facts or {}) do facts[#facts + 1] = fact end
  for _, note in ipairs(image.notes or {}) do facts[#facts + 1] = { name = "Note", value = note } end
  out[1] = page.facts(facts)
  return out
end

--- The page as text.
-- @param run { title = text, or nil for the image's name,
--   folder = an opened folder (lua/run/folder.lua),
--   image = { name, width, height, slices, facts = {{ name, value }...} (spacing, window, ...), notes = texts },
--   results = list of { name = the prompt in words, class, status, predicted_iou, dice, iou, hd95 (mm), pixels, area
--     (mm^2), volume (mm^3), extent, centroid (texts) }: a column is shown where any of them has it,
--   pictures = list of { title, caption, png = bytes } as page.pictures takes them,
--   profile = of lua/run/profile.lua, or nil,
--   made = list of { name, value }: what is to be said beside the build (options, digest, times) }
function run_page.make(run)
  local folder, image = run.folder, run.image
  local made = table.move(run.made or {}, 1, #(run.made or {}), 1, {})
  for _, fact in ipairs(build_facts.made(folder)) do made[#made + 1] = fact end
  local pictures = { id = "pictures", title = "Pictures" }
  if run.pictures and #run.pictures > 0 then pictures[1] = page.pictures(run.pictures) end
  return page.document { title = run.title or image and image.name or "A run",
    subtitle = sections.model_line(build_facts.model(folder)),
    sections = { results(run.results or {}), pictures, image_section(image),
      sections.memory(build_facts.memory(folder)), sections.layers(build_facts.layers(folder, run.profile)),
      sections.made(made) },
    footer = "Made by msagen, a tool and no medical device." }
end

return run_page
