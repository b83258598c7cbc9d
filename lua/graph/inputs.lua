-- SPDX-License-Identifier: Apache-2.0
--- What a graph is given of the outside, as the runtime makes it: pixels of an image, and rows of tokens for a prompt.

local pictures = require "emit.pictures"
local tensor = require "msagen.tensor"

local inputs = {}

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

--- The image input [slices size size,3]: resized, normalised, zeros beyond the picture. Levels are those of builds,
-- rounded to float32 in every class: float64, too, has what comes from outside as it is given.
-- @param at function(slice, x, y, channel) -> 0..255 @param places list of {slice, x, y} in the model's square, or nil
-- for all
function inputs.image(m, width, height, at, places)
  local size, slices, values, n = m.image_size, {}, {}, 0
  local function pixel(slice, x, y)
    slices[slice] = slices[slice]
      or pictures.input(m, function(px, py, c) return at(slice, px, py, c) end, width, height)
    for c = 0, 2 do
      n = n + 1
      values[n] = slices[slice](x, y, c)
    end
  end
  for _, place in ipairs(places or {}) do pixel(table.unpack(place)) end
  for slice = 0, places and -1 or m.depth - 1 do
    for y = 0, size - 1 do
      for x = 0, size - 1 do pixel(slice, x, y) end
    end
    slices[slice] = nil -- what it keeps is large
  end
  return tensor.from(values, { n // 3, 3 })
end

-- SAM's prompts: points, the padding token where there is no box, corners. @param put function(row, x, y): a token of
-- a row of embeddings and, where x is given, of the features of that place of the image
local function put_prompt(m, prompt, put, click)
  for _, p in ipairs(prompt.points or {}) do
    if p[3] < 0 then put(5) else put(1 + p[3], click(p)) end
  end
  if prompt.box then
    put(3, prompt.box[1], prompt.box[2])
    put(4, prompt.box[3], prompt.box[4])
  elseif prompt.points then
    put(5)
  end
end

-- Prompts of always `m.places` places: points, of which those with label 0 have no embedding, corners, then invalid
-- ones at -1 of the square.
local function put_places(m, prompt, put, click)
  local list = {}
  for _, p in ipairs(prompt.points or {}) do list[#list + 1] = { p[3] < 0 and 1 or p[3] > 0 and 2, click(p) } end
  local box = prompt.box
  if box then
    list[#list + 1] = { 3, box[1], box[2] }
    list[#list + 1] = { 4, box[3], box[4] }
  end
  for i = 1, m.places do put(table.unpack(list[i] or { 1, false })) end
end

-- Where a place of the image is in the square, in pixels that features are made of. @param round to the class's numbers
local function to_square(m, width, height, round)
  local side = m.image_size
  local to_width, to_height = pictures.size(width, height, side, m.resize == "longest")
  local function one(v, from, to)
    local x = round(f32(v) * (to / from))
    return m.click_side and round(round(x * m.click_side) / side) or x
  end
  return function(x, y) return one(x, width, to_width), one(y, height, to_height) end
end

--- The token rows of a prompt.
-- @param rows what tokens are made of, as they are packed: gaussian matrix, embeddings of places, of outputs, of texts
-- @param width, height the image's @param prompt points {{x, y, label}...}, box {x0, y0, x1, y1} or nil, text: its
-- place from 0, or nil
function inputs.tokens(R, m, rows, width, height, prompt)
  local E, side, outputs = m.out, m.image_size, 1 + m.decoder.masks
  local gaussian, tokens = R.rows(rows, { 0 }):reshape { 2, E // 2 }, {}
  local first = rows.shape[1] - outputs - (m.texts and #m.texts.names or 0)
  local function round(v) return R.arithmetic == "float64" and v or f32(v) end
  local function scaled(v) return round(round(2.0 * round(round(v + 0.5) / side)) - 1.0) end
  local square = to_square(m, width, height, round)
  local swap = m.click_order == "rc"
  -- x: false for the invalid place; a click's places may change places.
  local function put(row, x, y, is_click)
    local token = row and R.rows(rows, { row })
    if x ~= nil then
      local along, down = -1, -1
      if x then along, down = square(x, y) end
      if is_click and swap then along, down = down, along end
      local features = R.features(gaussian, tensor.from({ scaled(along), scaled(down) }, { 1, 2 }))
      token = token and R.add(features, token) or features
    end
    tokens[#tokens + 1] = token
  end
  local function click(p) return p[1], p[2], true end
  for i = 0, outputs - 1 do put(first + i) end
  local put_all = m.places and put_places or put_prompt
  put_all(m, prompt, put, click)
  if prompt.text then put(first + outputs + prompt.text) end
  return R.stacked(tokens)
end

return inputs
