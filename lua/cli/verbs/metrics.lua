-- SPDX-License-Identifier: Apache-2.0
-- msagen metrics PRED TRUTH [options]: how well one mask is another (docs/metrics.md).
local masks = require "metrics.masks"
local terminal = require "support.terminal"

local verb = {}

local function a_length(text)
  local mm = tonumber(text)
  if mm and mm >= 1e-6 and mm <= 1e6 then return mm end
end

local function a_spacing(text)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do
    list[#list + 1] = a_length(word)
    if not list[#list] then list = {} break end
  end
  local _, commas = text:gsub(",", "")
  if #list == commas + 1 and #list >= 2 and #list <= 3 then return list end
  return nil, ("expected MM,MM or MM,MM,MM from 1e-6 to 1e6, found %s"):format(text)
end

local function a_tolerance(text)
  local mm = tonumber(text)
  if mm and mm >= 0 and mm < math.huge then return mm end
  return nil, ("expected millimetres, found %s"):format(text)
end

function verb.setup(command)
  command:argument("pred", "The mask to judge: PNG, JPEG, NPY, TIFF, NIfTI or DICOM."):argname "PRED"
  command:argument("truth", "The expert's mask, of the same shape."):argname "TRUTH"
  command:option("--spacing", "Millimetres of a pixel along each axis, slices first, then rows and columns. Default: "
    .. "what the files say, else 1."):argname("MM,MM[,MM]"):convert(a_spacing)
  command:option("--tolerance", "How far apart surfaces may be for surface Dice; default 1 mm."):argname("MM")
    :convert(a_tolerance)
  command:option("--class", "What is inside: a value V, values V..W, a colour R,G,B, or any. May be repeated. Default: "
    .. "each label, or what is not 0 where there is one."):argname("VALUE"):count "*"
  command:flag("--json", "For machines: one JSON object; null where a number is not defined.")
end

local NAMES = { "pred_pixels", "truth_pixels", "dice", "iou", "hd95_pooled", "hd95_max", "hd95_area", "hd", "assd",
  "surface_dice", "surface_dice_area" }
local COLUMNS = { "pixels", "truth", "Dice", "IoU", "HD95", "max", "area", "HD", "ASSD", "NSD", "area" }

local function cell(value)
  if value == nil then return "-" end
  if math.type(value) == "integer" then return tostring(value) end
  return (value < 100 and "%.4f" or "%.1f"):format(value)
end

-- Columns as wide as they have to be, numbers to the right.
local function say_table(found)
  local rows, widths = { { "", table.unpack(COLUMNS) } }, {}
  for i, one in ipairs(found.classes) do
    rows[i + 1] = { one.class }
    for k, name in ipairs(NAMES) do rows[i + 1][k + 1] = cell(one[name]) end
  end
  for _, row in ipairs(rows) do
    for k, text in ipairs(row) do widths[k] = math.max(widths[k] or 0, #text) end
  end
  for _, row in ipairs(rows) do
    for k, text in ipairs(row) do row[k] = (" "):rep(widths[k] - #text) .. text end
    print(table.concat(row, " "))
  end
end

local function say(found)
  say_table(found)
  local unit = found.spacing and "mm" or "pixels"
  print("HD95 pooled, of the directions the larger (max), by area; HD, ASSD: " .. unit)
  print(("NSD of borders, by area: within %.14g %s; -: not defined"):format(found.tolerance, unit))
  if found.spacing then print("spacing " .. table.concat(found.spacing, " x ") .. " mm") end
end

local function as_json(found)
  local json = require "msagen.json"
  found.spacing = found.spacing and json.array(found.spacing) or json.null
  found.shape = json.array(found.shape)
  for _, one in ipairs(found.classes) do
    for _, name in ipairs(NAMES) do
      if one[name] == nil then one[name] = json.null end
    end
  end
  found.classes = json.array(found.classes)
  io.stdout:write(json.encode(found, { indent = 1 }), "\n")
end

function verb.run(args)
  local pred, is = masks.pair(args.pred, args.truth)
  local spacing, note = masks.spacing(pred, is, args.spacing)
  local shape, tolerance = is.labels.shape, args.tolerance or 1
  local ones = { 1, 1, #shape == 3 and 1 or nil }
  local found = { pred = args.pred, truth = args.truth, shape = shape, spacing = spacing, tolerance = tolerance,
    classes = {} }
  for i, class in ipairs(masks.classes(pred, is, args.class)) do
    local a, b = masks.inside(class, pred, is)
    found.classes[i] = require("msagen.metrics").compare(a, b, spacing or ones, tolerance)
    found.classes[i].class = class.name
  end
  if note then terminal.say("warning", note) end
  if args.json then as_json(found) else say(found) end
  return 0
end

return verb
