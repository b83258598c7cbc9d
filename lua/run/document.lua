-- SPDX-License-Identifier: Apache-2.0
--- What `run --json` prints: one JSON document, whose fields docs/run.md describes. Its bytes depend on the inputs
-- alone, but for times.
local json = require "msagen.json"

local document = {}

local function known(value) return value or json.null end

-- Products of decimal fractions without what binary ones add at their ends.
local function rounded(x) return tonumber(("%.12g"):format(x)) end

local function list_of(list, each)
  local out = json.array {}
  for i, value in ipairs(list) do out[i] = each and each(value) or value end
  return out
end

local function polygon(points) return list_of(points, json.array) end

-- Of every slice with something inside its regions.
local function contours_of(mask)
  local out = json.array {}
  for slice = 0, mask.shape[1] - 1 do
    local regions = list_of(require("msagen.contour").trace(mask, slice), function(polygons)
      local holes = json.array {}
      for i = 2, #polygons do holes[i - 1] = polygon(polygons[i]) end
      return { outer = polygon(polygons[1]), holes = holes }
    end)
    if #regions > 0 then out[#out + 1] = { slice = slice, regions = regions } end
  end
  return out
end

--- Size, place and outline of a mask u8 [N,H,W].
-- @param spacing nil, or { mm between slices, rows, columns }, each may be false
function document.shape(mask, spacing)
  local extent = require("msagen.contour").extent(mask)
  local first, last, centre, flat = extent.first, extent.last, extent.centre, mask.shape[1] == 1
  local mm2 = spacing and spacing[2] and spacing[3] and spacing[2] * spacing[3]
  local shape = { pixels = extent.pixels, contours = contours_of(mask) }
  if flat then shape.area_mm2 = known(mm2 and rounded(extent.pixels * mm2))
  else shape.volume_mm3 = known(mm2 and spacing[1] and rounded(extent.pixels * mm2 * spacing[1])) end
  shape.extent, shape.centroid = json.null, json.null
  if extent.pixels > 0 then
    shape.extent = { x = json.array { first[3], last[3] }, y = json.array { first[2], last[2] },
      slice = json.array { first[1], last[1] } }
    shape.centroid = { x = rounded(centre[3]), y = rounded(centre[2]), slice = rounded(centre[1] - 0.5) }
  end
  return shape
end

local function truth_of(found)
  return { dice = known(found.dice), iou = known(found.iou), hd95 = known(found.hd95), unit = found.unit,
    pixels = found.truth_pixels }
end

local function clicks_of(clicks)
  return list_of(clicks, function(click)
    return { slice = click.slice, x = click.x, y = click.y, label = click.label, count = known(click.count),
      dice = known(click.dice) }
  end)
end

local function result_of(run, found, k)
  local result, prompt = found.results[k], run.list[k]
  local one = document.shape(found.masks(k), run.spacing)
  one.prompt, one.masks = k - 1, result.masks
  one.class, one.text = known(prompt.class and prompt.class.text), known(prompt.text)
  one.predicted_iou = list_of(result.iou, json.array)
  one.taken = list_of(result.best)
  one.truth = result.truth and truth_of(result.truth) or nil
  local clicks = found.clicks[k] or run.args.propagate and found.carried[k]
  one.clicks = clicks and clicks_of(clicks) or nil
  one.slice = known(prompt.only)
  return one
end

--- What was found in one image.
-- @param found what run/work.lua's perform gives
function document.image(run, found)
  local shape, spacing = run.image.shape, nil
  if run.spacing then
    spacing = json.array {}
    for i = 1, 3 do spacing[i] = known(run.spacing[i]) end
  end
  local one = { image = run.args.image, name = run.name, status = "ok", slices = shape[1], height = shape[2],
    width = shape[3], spacing_mm = known(spacing), notes = list_of(run.all_notes), prompts = json.array {},
    outputs = found.outputs, digest = found.digest }
  for k = 1, #found.results do one.prompts[k] = result_of(run, found, k) end
  if run.args.bench then
    one.encode_ms, one.decode_ms = tonumber(found.times.encode_ms), tonumber(found.times.decode_ms)
  end
  return one
end

--- An image that could not be segmented.
function document.failed(image, why)
  return { image = image.path, name = image.name, status = "failed", error = why }
end

--- The whole, a line.
function document.text(folder, images, status)
  return json.encode { generator = "msagen run", version = msagen.version, folder = folder.path,
    build = known(folder.build), status = status, images = list_of(images) } .. "\n"
end

return document
