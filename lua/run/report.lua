-- SPDX-License-Identifier: Apache-2.0
--- What the page of a run (lua/report/run_page.lua) is told of one image's run.
local document = require "run.document"
local json = require "msagen.json"
local overlays = require "run.overlays"

local report = {}

local function value_of(x) return x ~= json.null and x or nil end

-- "x 10 to 20, y 5 to 9".
local function extent_text(extent, flat)
  if not value_of(extent) then return nil end
  local text = ("x %d to %d, y %d to %d"):format(extent.x[1], extent.x[2], extent.y[1], extent.y[2])
  return flat and text or ("%s, slices %d to %d"):format(text, extent.slice[1], extent.slice[2] - 1)
end

local function centroid_text(centroid, flat)
  if not value_of(centroid) then return nil end
  local text = ("%.1f, %.1f"):format(centroid.x, centroid.y)
  return flat and text or ("%s, slice %.1f"):format(text, centroid.slice)
end

-- A row of the page's table; a volume's predicted IoU is the mean over its slices with a mask.
local function row_of(run, found, k)
  local result, prompt, flat = found.results[k], run.list[k], run.slices == 1
  local shape = document.shape(found.masks(k), run.spacing)
  local sum, count = 0, 0
  for s, scores in ipairs(result.iou) do
    if flat or scores[result.best[s] + 1] ~= 0 then sum, count = sum + scores[result.best[s] + 1], count + 1 end
  end
  local truth, colour = result.truth or {}, overlays.colour(k)
  return { name = #run.list > 1 and ("prompt %d, %s"):format(k - 1, colour) or "prompt 0",
    class = prompt.class and prompt.class.text or prompt.text, predicted_iou = count > 0 and sum / count or nil,
    dice = truth.dice, iou = truth.iou, hd95 = truth.unit == "mm" and truth.hd95 or nil, pixels = shape.pixels,
    area = value_of(shape.area_mm2), volume = value_of(shape.volume_mm3), extent = extent_text(shape.extent, flat),
    centroid = centroid_text(shape.centroid, flat) }
end

local function facts_of(run)
  local spacing, facts = run.spacing, {}
  if spacing then
    local texts = {}
    for i, mm in ipairs { spacing[2], spacing[3], run.slices > 1 and spacing[1] or nil } do
      texts[i] = mm and ("%.4g"):format(mm) or "unknown"
    end
    facts[1] = { name = "Spacing", value = table.concat(texts, " × ") .. " mm" }
  end
  return facts
end

--- The page as text.
-- @param found what run/work.lua's perform has found
-- @param picture the overlay as PNG, or nil
function report.text(run, found, picture)
  local shape, results, made, pictures = run.image.shape, {}, {}, {}
  for k = 1, #found.results do results[k] = row_of(run, found, k) end
  if found.digest then made[1] = { name = "Digest", value = found.digest } end
  if run.args.bench then
    made[#made + 1] = { name = "Encode, decode", value = ("%s ms, %s ms"):format(found.times.encode_ms,
      found.times.decode_ms) }
  end
  if picture then
    local truth = run.args.truth and "; dotted: the expert's outline" or ""
    pictures[1] = { title = run.name, caption = "The masks found, and the prompts" .. truth, png = picture }
  end
  return require("report.run_page").make { title = run.name, folder = run.folder, results = results,
    pictures = pictures, made = made, profile = found.profiled,
    image = { name = run.args.image, width = shape[3], height = shape[2], slices = shape[1],
      facts = facts_of(run), notes = run.all_notes } }
end

return report
