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

--- The token rows of a prompt.
-- @param rows what tokens are made of, as they are packed: gaussian matrix, embeddings of points, of none, of outputs,
-- of texts
-- @param width, height the image's @param prompt points {{x, y, label}...}, box {x0, y0, x1, y1} or nil, text: its
-- place from 0, or nil
function inputs.tokens(R, m, rows, width, height, prompt)
  local E, side, outputs = m.out, m.image_size, 1 + m.decoder.masks
  local to_width, to_height = pictures.size(width, height, side, m.resize == "longest")
  local gaussian, tokens = R.rows(rows, { 0 }):reshape { 2, E // 2 }, {}
  local function round(v) return R.arithmetic == "float64" and v or f32(v) end
  local function scaled(v) return round(round(2.0 * round(round(v + 0.5) / side)) - 1.0) end
  local function add(row, x, y, swap)
    local token = R.rows(rows, { row })
    if x then
      local along, down = round(f32(x) * (to_width / width)), round(f32(y) * (to_height / height))
      if swap then along, down = down, along end
      token = R.add(R.features(gaussian, tensor.from({ scaled(along), scaled(down) }, { 1, 2 })), token)
    end
    tokens[#tokens + 1] = token
  end
  for i = 0, outputs - 1 do add(6 + i) end
  for _, p in ipairs(prompt.points or {}) do
    if p[3] < 0 then add(5) else add(1 + p[3], p[1], p[2], m.click_order == "rc") end
  end
  if prompt.box then
    add(3, prompt.box[1], prompt.box[2])
    add(4, prompt.box[3], prompt.box[4])
  elseif prompt.points then
    add(5)
  end
  if prompt.text then add(6 + outputs + prompt.text) end
  return R.stacked(tokens)
end

return inputs
