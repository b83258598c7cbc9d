-- SPDX-License-Identifier: Apache-2.0
--- The picture for people: which layers an overlay has, in which colours, how large.
local fail = require "support.fail"

local overlays = {}

overlays.OPACITY = 0.3 -- of the tint
overlays.STYLES = { "contour", "fill", "both" }

-- One colour a prompt or class, again from the first where there are more. Yellow is the boxes', white the truth's.
local COLOURS = { { "cyan", 90, 235, 255 }, { "orange", 255, 165, 50 }, { "green", 105, 230, 110 },
  { "magenta", 255, 110, 225 }, { "blue", 105, 145, 255 }, { "red", 255, 90, 90 }, { "lime", 190, 255, 70 },
  { "violet", 190, 130, 255 }, { "teal", 50, 215, 185 }, { "tan", 215, 165, 115 }, { "pink", 255, 190, 205 } }

local LARGEST = 16384    -- pixels a side of a picture
local SMALL, LARGE = 256, 512 -- an image with a shorter side than SMALL is enlarged, to LARGE where there is room
local LONGEST, SHEET = 1024, 2048

--- The name and { red, green, blue } of the colour of prompt or class k, from 1.
function overlays.colour(k)
  local one = COLOURS[(k - 1) % #COLOURS + 1]
  return one[1], { one[2], one[3], one[4] }
end

local function columns_of(slices) return math.ceil(math.sqrt(slices)) end

--- How many pixels a side each pixel of an image of so many slices becomes: marks are for eyes, and cover small images.
function overlays.zoom(slices, height, width)
  local shorter, longer, columns = math.min(height, width), math.max(height, width), columns_of(slices)
  if shorter >= SMALL then return 1 end
  local rows = (slices + columns - 1) // columns
  return math.max(1, math.min(LARGE // shorter, LONGEST // longer, SHEET // (columns * width), SHEET // (rows
    * height)))
end

--- The sheet of all slices' overlays is a picture too, about square. @param option what asks for it
function overlays.check(option, path, shape)
  local slices, height, width = shape[1], shape[2], shape[3]
  local columns = columns_of(slices)
  if columns * width > LARGEST or (slices + columns - 1) // columns * height > LARGEST then
    fail("--%s %s: expected a sheet of at most %d pixels a side, found %d slices of %dx%d", option:gsub("_", "-"), path,
      LARGEST, slices, width, height)
  end
end

-- What is drawn of a prompt, a slice: its places, or the marks that it has of a run.
local function marks_of(prompt, slices)
  if prompt.marks then return prompt.marks end
  local prompts, marks = require "run.prompts", {}
  for s = 1, slices do
    marks[s] = { numbered = prompt.numbered, points = prompts.slice(prompt, "points", s),
      labels = prompts.slice(prompt, "labels", s), box = prompts.slice(prompt, "box", s) }
  end
  return marks
end

--- Draw an overlay.
-- @param image u8 [N,H,W,3]
-- @param layers { { mask = u8 [N,H,W], colour = from 1, prompt = nil or one whose places are drawn }... }
-- @param truths masks of the expert's
-- @param options { overlay = one of STYLES, opacity } of the command line
-- @return u8 [H',W',3]
function overlays.draw(image, layers, truths, options)
  local list, style, slices = {}, options.overlay or "both", image.shape[1]
  for i, layer in ipairs(layers) do
    list[i] = { mask = layer.mask, colour = select(2, overlays.colour(layer.colour)),
      marks = layer.prompt and marks_of(layer.prompt, slices) or nil }
  end
  for _, truth in ipairs(truths) do list[#list + 1] = { mask = truth, truth = true } end
  return require("msagen.overlay").draw(image, list, { contour = style ~= "fill", numbers = slices > 1,
    opacity = style == "contour" and 0 or options.opacity or overlays.OPACITY,
    zoom = overlays.zoom(slices, image.shape[2], image.shape[3]) })
end

return overlays
