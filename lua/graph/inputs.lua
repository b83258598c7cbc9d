-- SPDX-License-Identifier: Apache-2.0
--- What a graph is given of the outside, as the runtime makes it: pixels of an image, and rows of tokens for a prompt.

local expressions = require "graph.expressions"
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

-- What the tokens of a prompt are made of, in their order: of each the number of its row among those that tokens are
-- made of, from 0, or nil; and the features of its place, or nil.
-- @param gaussian the matrix of the features @param outputs the number of the first output's row
local function parts_of(R, m, gaussian, outputs, width, height, prompt)
  local side, parts = m.image_size, {}
  local function round(v) return R.arithmetic == "float64" and v or f32(v) end
  local function scaled(v) return round(round(2.0 * round(round(v + 0.5) / side)) - 1.0) end
  local square = to_square(m, width, height, round)
  local swap = m.click_order == "rc"
  -- x: false for the invalid place; a click's places may change places.
  local function put(row, x, y, is_click)
    local features
    if x ~= nil then
      local along, down = -1, -1
      if x then along, down = square(x, y) end
      if is_click and swap then along, down = down, along end
      features = R.features(gaussian, tensor.from({ scaled(along), scaled(down) }, { 1, 2 }))
    end
    parts[#parts + 1] = { row = row, features = features }
  end
  local function click(p) return p[1], p[2], true end
  for i = 0, m.decoder.masks do put(outputs + i) end
  local put_all = m.places and put_places or put_prompt
  put_all(m, prompt, put, click)
  return parts
end

--- The token rows of a prompt.
-- @param rows what tokens are made of, as they are packed: gaussian matrix, embeddings of places, of outputs, of texts
-- @param width, height the image's @param prompt points {{x, y, label}...}, box {x0, y0, x1, y1} or nil, text: its
-- place from 0, or nil
function inputs.tokens(R, m, rows, width, height, prompt)
  local outputs, tokens = 1 + m.decoder.masks, {}
  local first = rows.shape[1] - outputs - (m.texts and #m.texts.names or 0)
  local gaussian = R.rows(rows, { 0 }):reshape { 2, m.out // 2 }
  for i, part in ipairs(parts_of(R, m, gaussian, first, width, height, prompt)) do
    local token = part.row and R.rows(rows, { part.row })
    tokens[i] = token and part.features and R.add(part.features, token) or token or part.features
  end
  if prompt.text then tokens[#tokens + 1] = R.rows(rows, { first + outputs + prompt.text }) end
  return R.stacked(tokens)
end

--- What `embed` (lua/graph/ops/tokens.lua) makes the same rows of, where what they are made of trains.
-- @param gaussian the matrix of the features as it is packed @param first the number of the first output's row, from
-- 0, among the rows that train
-- @param rows as many as there are to be: those behind the prompt's are +0 @param prompt as in tokens, but that any
-- text is the row behind the outputs'
-- @return features [rows,E], index [rows,1], and how many are the prompt's
function inputs.embedded(R, m, gaussian, first, rows, width, height, prompt)
  local E, features, index = m.out, {}, {}
  local none = R.evaluate(expressions.of(function(x) return -x end), tensor.zeros { 1, E })
  -- Numbers of rows count the features' own as the first.
  for i, part in ipairs(parts_of(R, m, gaussian, first + 1, width, height, prompt)) do
    features[i], index[i] = part.features or none, part.row and part.row - 1 or -1
  end
  if prompt.text then features[#features + 1], index[#index + 1] = none, first + 1 + m.decoder.masks end
  local count = #index
  for i = count + 1, rows do features[i], index[i] = tensor.zeros { 1, E }, -1 end
  return R.stacked(features), tensor.from(index, { rows, 1 }), count
end

return inputs
