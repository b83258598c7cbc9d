-- SPDX-License-Identifier: Apache-2.0
--- Prompts: from options and JSON files, checked against image and model, packed for the runner.
-- A prompt is { what = name for messages, slices = 1 or those of the volume, points = {{x, y}...} a slice, labels =
-- {...} a slice, box = {x0, y0, x1, y1} a slice, mask = {path, tensor}, text = name, text_index = its place from 0,
-- multimask = boolean, class = what the truth calls it, only = the one slice of a
-- volume that it is of, from 0 }; points, box, mask, text, class and only may be missing.
local fail = require "support.fail"
local json = require "msagen.json"

local prompts = {}

local function shown(value)
  if type(value) == "number" then return ("%.14g"):format(value) end
  if value == json.null then return "null" end
  if type(value) == "table" then return json.is_array(value) and ("an array of %d"):format(#value) or "an object" end
  return tostring(value)
end

local function is_array(value) return type(value) == "table" and json.is_array(value) end

-- How many array levels a JSON value has, judged by its first elements.
local function levels(value)
  local n = 0
  while is_array(value) do
    n = n + 1
    value = value[1]
  end
  return n
end

-- Values a slice: `value` itself for all slices, or one entry each where it has a level more than `plain`.
local function by_slice(value, plain, slices, what, expected)
  local n = levels(value)
  if n == plain then return { value } end
  if n ~= plain + 1 then fail("%s: expected %s, found %s", what, expected, shown(value)) end
  if #value ~= slices then fail("%s: expected %d slices, found %d", what, slices, #value) end
  return value
end

local function numbers(value, count, what, expected)
  if not is_array(value) or #value ~= count then fail("%s: expected %s, found %s", what, expected, shown(value)) end
  for i, x in ipairs(value) do
    if type(x) ~= "number" then fail("%s: expected %s, found %s as number %d", what, expected, shown(x), i) end
  end
  return value
end

local KNOWN = { points = true, labels = true, box = true, mask = true, text = true, multimask = true, class = true,
  slice = true }

-- Which label of an expert's mask a prompt is for: { text = as it was given, wanted = as of --truth-inside, value = the
-- number, where it is one }.
local function class_of(value, what)
  local text = math.type(value) == "integer" and tostring(value) or type(value) == "string" and value
  local wanted, why = nil, "expected a value V, values V..W or a colour R,G,B, found " .. shown(value)
  if text then wanted, why = require("run.truth").inside(text) end
  if not wanted then fail("%s: class: %s", what, why) end
  return { text = text, wanted = wanted, value = math.tointeger(tonumber(text)) }
end

-- Which class a prompt is for, and on which slice it is.
local function read_purpose(object, prompt, what)
  if object.slice ~= nil and math.type(object.slice) ~= "integer" then
    fail("%s: slice: expected the number of a slice, from 0, found %s", what, shown(object.slice))
  end
  prompt.only = object.slice
  if object.class ~= nil then prompt.class = class_of(object.class, what) end
end

-- One object of a prompt file.
local function from_object(object, what, slices)
  if type(object) ~= "table" or json.is_array(object) then
    fail("%s: expected an object, found %s", what, shown(object))
  end
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    -- Golden cases tell results and errors beside the prompt.
    if not KNOWN[key] and not key:match "^logits_" and not key:match "^torch_" then
      fail("%s: expected points, labels, box, mask, text, multimask, class or slice, found %s", what, key)
    end
    if object[key] == json.null then object[key] = nil end
  end
  local prompt = { what = what, multimask = object.multimask }
  if prompt.multimask ~= nil and type(prompt.multimask) ~= "boolean" then
    fail("%s: multimask: expected true or false, found %s", what, shown(prompt.multimask))
  end
  if object.points then
    local here = what .. ": points"
    prompt.points = by_slice(object.points, 2, slices, here, "[n,2]")
    if not object.labels then fail("%s: labels: expected one for each point, found none", what) end
    prompt.labels = by_slice(object.labels, 1, slices, what .. ": labels", "[n]")
    for _, points in ipairs(prompt.points) do
      if not is_array(points) or #points == 0 or #points ~= #prompt.points[1] then
        fail("%s: expected as many points in each slice, found %s", here, shown(points))
      end
      for i, point in ipairs(points) do numbers(point, 2, ("%s: point %d"):format(here, i), "x and y") end
    end
    for _, labels in ipairs(prompt.labels) do
      numbers(labels, #prompt.points[1], what .. ": labels",
        ("%d numbers, one for each point"):format(#prompt.points[1]))
    end
  elseif object.labels then
    fail("%s: points: expected one for each label, found none", what)
  end
  if object.box then
    prompt.box = by_slice(object.box, 1, slices, what .. ": box", "[4]")
    for _, box in ipairs(prompt.box) do numbers(box, 4, what .. ": box", "x0, y0, x1, y1") end
  end
  if object.mask ~= nil then
    if type(object.mask) ~= "string" then
      fail("%s: mask: expected the path of an NPY file, found %s", what, shown(object.mask))
    end
    prompt.mask = { path = object.mask }
  end
  if object.text ~= nil then
    if type(object.text) ~= "string" then
      fail("%s: text: expected the name of a text prompt, found %s", what, shown(object.text))
    end
    prompt.text = object.text
  end
  read_purpose(object, prompt, what)
  return prompt
end

--- The prompts of a JSON file, for an image of so many slices.
function prompts.from_file(path, slices)
  local list = json.decode(require("msagen.sys").read_file_or_pipe(path), path)
  if not is_array(list) then fail("%s: expected an array of prompts, found %s", path, shown(list)) end
  local result = {}
  for k, object in ipairs(list) do result[k] = from_object(object, ("%s: prompt %d"):format(path, k - 1), slices) end
  return result
end

--- What --multimask and --one-mask ask for: nil where neither is given.
function prompts.several(args)
  if args.multimask then return true end
  if args.one_mask then return false end
end

--- The one prompt of --point, --box, --mask-in, --text, --multimask and --one-mask, or none.
function prompts.from_options(args)
  if #args.point == 0 and not args.box and not args.mask_in and not args.text then return {} end
  local prompt = { multimask = prompts.several(args), text = args.text, only = args.click_slice }
  if #args.point > 0 then
    prompt.points, prompt.labels = { {} }, { {} }
    for i, point in ipairs(args.point) do
      prompt.points[1][i], prompt.labels[1][i] = { point[1], point[2] }, point[3] or 1
    end
  end
  if args.box then prompt.box = { args.box } end
  if args.mask_in then prompt.mask = { path = args.mask_in } end
  return { prompt }
end

-- What a model whose prompts are always so many places makes of one: no mask, and of more places the first alone.
local function check_places(prompt, places, name)
  if prompt.mask then
    fail("%s: expected none, as this model has no mask prompt, found %s", name "--mask-in", prompt.mask.path)
  end
  local count = (prompt.points and #prompt.points[1] or 0) + (prompt.box and 2 or 0)
  if count > places then
    require("cli.progress").warn(("The model takes %d places of a prompt, points before a box's two corners: of %d the "
      .. "first %d count."):format(places, count, places), prompt.what)
  end
end

local function within(x, limit) return x >= 0 and x <= limit end

local function coordinates(values)
  local texts = {}
  for i, x in ipairs(values) do texts[i] = shown(x) end
  return table.concat(texts, ",")
end

-- The mask prompt, checked for shape and values; its slices.
local function load_mask(mask, what, slices, model)
  local side = 4 * model.grid
  if not require("run.inputs").is_npy(mask.path) then
    fail("%s: expected an NPY file of float32 logits [%d,%d], as --out writes them, found another format", what
      or "--mask-in " .. mask.path, side, side)
  end
  local t = require("msagen.npy").read(mask.path)
  local shape, dtype = t.shape, t.dtype
  local ahead = 1
  for i = 1, #shape - 2 do ahead = ahead * shape[i] end
  local fits = #shape >= 2 and #shape <= 4 and shape[#shape] == side and shape[#shape - 1] == side
  if not fits or ahead ~= 1 and ahead ~= slices or not dtype:match "^b?f%d" then
    fail("%s: expected float32 logits [%d,%d]%s, found %s [%s]", what or mask.path, side, side, slices > 1
      and (" or one a slice, [%d,%d,%d]"):format(slices, side, side) or "",
      dtype, table.concat(shape, ","))
  end
  local floats = t:reshape { ahead * side * side }:scale(1) -- any width to float32
  local finite, at = floats:finite()
  if not finite then fail("%s: expected finite logits, found NaN or infinity at element %d", what or mask.path, at) end
  return floats, ahead
end

--- The place from 0 of a name in a list that a folder's manifest holds; otherwise an error that tells the list.
-- @param what option or field, for the message  @param option of msagen build that makes such names
function prompts.named(name, list, what, option)
  local known = {}
  for i, known_name in ipairs(list) do
    if name == known_name then return i - 1 end
    known[i] = known_name
  end
  if #known == 0 then fail("%s: expected a folder built with %s, found one without", what, option) end
  fail("%s: expected one of %s, found %s", what, table.concat(known, ", "), name)
end

-- A prompt of one slice has no axis of slices.
local function check_only(prompt, volume, name)
  if prompt.only < 0 or prompt.only >= volume then
    fail("%s %d: expected a slice of the volume, 0 to %d, found another", name, prompt.only, volume - 1)
  end
  if prompt.slices > 1 then
    fail("%s %d: expected a prompt of one slice, found one with an entry for each of %d", name, prompt.only,
      prompt.slices)
  end
end

--- Check a prompt for an image of width x height, so many slices, and a model; load its mask; set its slices.
-- @param turned what to say of the image where coordinates lie outside, or nil
function prompts.check(prompt, width, height, volume, model, turned)
  local function name(option)
    return prompt.what and ("%s: %s"):format(prompt.what, option:gsub("^%-%-", "")) or option
  end
  if model.places then check_places(prompt, model.places, name) end
  if prompt.multimask == nil then prompt.multimask = model.best_of_several end
  local slices = 1
  for _, field in ipairs { "points", "labels", "box" } do
    if prompt[field] then slices = math.max(slices, #prompt[field]) end
  end
  for s, points in ipairs(prompt.points or {}) do
    if #points > model.max_points then
      fail("%s: expected at most %d points, found %d", name "points", model.max_points, #points)
    end
    for i, point in ipairs(points) do
      if not within(point[1], width) or not within(point[2], height) then
        fail("%s %s: expected a point of the image, x 0 to %d, y 0 to %d%s, found one outside",
          name(prompt.what and "point" or "--point"), coordinates(point), width, height, turned or "")
      end
      local labels = prompt.labels[#prompt.labels == 1 and 1 or s]
      local label = labels[i]
      if label ~= 1 and label ~= 0 and label ~= -1 then
        fail("%s %s: expected label 1, 0 or -1, found %s", name(prompt.what and "point" or "--point"),
          coordinates(point), shown(label))
      end
    end
  end
  for _, box in ipairs(prompt.box or {}) do
    local here = ("%s %s"):format(name "--box", coordinates(box))
    for i = 1, 4 do
      local limit = i % 2 == 1 and width or height
      if not within(box[i], limit) then
        fail("%s: expected corners in the image, x 0 to %d, y 0 to %d%s, found %s", here, width, height, turned or "",
          shown(box[i]))
      end
    end
    if box[3] < box[1] or box[4] < box[2] then
      fail("%s: expected the upper left corner first, found the corners swapped", here)
    end
  end
  if prompt.mask then
    prompt.mask.tensor, prompt.mask.slices = load_mask(prompt.mask, prompt.what
      and ("%s: mask %s"):format(prompt.what, prompt.mask.path), volume, model)
    slices = math.max(slices, prompt.mask.slices)
  end
  if prompt.text then prompt.text_index = prompts.named(prompt.text, model.texts, name "--text", "--text-prompts") end
  prompt.slices = slices
  if prompt.only then check_only(prompt, volume, name(prompt.what and "slice" or "--click-slice")) end
end

--- Slice s (from 1) of one of a prompt's fields.
function prompts.slice(prompt, field, s)
  local values = prompt[field]
  return values and values[#values == 1 and 1 or s]
end

local BOX, MASK, MULTIMASK, TEXT = 1, 2, 4, 8
local WANTED_MASK = 8 -- from this bit on
prompts.FEEDBACK, prompts.FIRST_AT_RANDOM, prompts.EMPTY_AT_RANDOM = 16, 32, 64 -- of clicks alone

--- What the runner is told of a prompt beside its places; its `wanted` is the number from 0 of the mask that is its
-- result, nil: that of the highest predicted IoU.
function prompts.flags(prompt)
  return (prompt.box and BOX or 0) | (prompt.mask and MASK or 0) | (prompt.multimask and MULTIMASK or 0) | (prompt.text
    and TEXT or 0) | (prompt.wanted and prompt.wanted + 1 << WANTED_MASK or 0)
end

--- The rest of the runner's PROMPT command, for `depth` slices after the first `first` of the volume.
function prompts.pack(prompt, first, depth)
  local out = {}
  local function put(format, ...) out[#out + 1] = string.pack(format, ...) end
  local count = prompt.points and #prompt.points[1] or 0
  local slices = prompt.slices == 1 and 1 or depth
  local from, to = first + 1, first + slices
  put("<I4I4I4I4", prompts.flags(prompt), slices, count, prompt.text_index or 0)
  for s = from, count > 0 and to or 0 do
    for _, point in ipairs(prompts.slice(prompt, "points", s)) do put("<ff", point[1], point[2]) end
  end
  for s = from, count > 0 and to or 0 do
    for _, label in ipairs(prompts.slice(prompt, "labels", s)) do put("<i1", math.tointeger(label)) end
  end
  put(("x"):rep(-(slices * count) % 4))
  for s = from, prompt.box and to or 0 do put("<ffff", table.unpack(prompts.slice(prompt, "box", s))) end
  if prompt.mask then
    local mask = prompt.mask
    local side2 = mask.tensor:numel() // mask.slices
    out[#out + 1] = mask.slices == 1 and mask.tensor:tobytes():rep(slices)
      or mask.tensor:slice(1, first * side2, slices * side2):tobytes()
  end
  return table.concat(out)
end

return prompts
