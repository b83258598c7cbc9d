-- SPDX-License-Identifier: Apache-2.0
--- Small pictures of several images beside each other.
local tensor = require "msagen.tensor"

local contact_sheet = {}

local SIDE, GAP, MOST_COLUMNS = 256, 4, 4
local SAMPLES = 3 -- of a pixel, a side

-- A picture u8 [H,W,3] as rows of SIDE pixels: as large as fits, means of samples, white around it.
local function small(picture)
  local height, width = picture.shape[1], picture.shape[2]
  local bytes, scale = picture:tobytes(), math.min(SIDE / width, SIDE / height)
  local w, h = math.max(1, math.floor(width * scale)), math.max(1, math.floor(height * scale))
  local rows, white = {}, "\255\255\255"
  local function at(i, j, n, side) return math.min(side - 1, math.floor((i + (j + 0.5) / SAMPLES) * side / n)) end
  for y = 0, h - 1 do
    local row = {}
    for x = 0, w - 1 do
      local r, g, b = 0, 0, 0
      for j = 0, SAMPLES - 1 do
        local line = at(y, j, h, height) * width
        for i = 0, SAMPLES - 1 do
          local p = 3 * (line + at(x, i, w, width)) + 1
          local r1, g1, b1 = bytes:byte(p, p + 2)
          r, g, b = r + r1, g + g1, b + b1
        end
      end
      local n = SAMPLES * SAMPLES
      row[x + 1] = string.char(r // n, g // n, b // n)
    end
    rows[y + 1] = table.concat(row) .. white:rep(SIDE - w)
  end
  for y = h + 1, SIDE do rows[y] = white:rep(SIDE) end
  return rows
end

--- A sheet. @param pictures tensors u8 [H,W,3]  @return u8 [H,W,3]
function contact_sheet.of(pictures)
  local columns = math.min(MOST_COLUMNS, #pictures)
  local across, white, lines = columns * SIDE + (columns - 1) * GAP, "\255\255\255", {}
  for first = 1, #pictures, columns do
    local row = {}
    for c = 0, columns - 1 do
      local picture = pictures[first + c]
      row[c + 1] = picture and small(picture) or false
    end
    for y = 1, SIDE do
      local parts = {}
      for c, rows in ipairs(row) do parts[c] = rows and rows[y] or white:rep(SIDE) end
      lines[#lines + 1] = table.concat(parts, white:rep(GAP))
    end
    for _ = 1, first + columns <= #pictures and GAP or 0 do lines[#lines + 1] = white:rep(across) end
  end
  return tensor.frombytes(table.concat(lines), "u8", { #lines, across, 3 })
end

return contact_sheet
