-- SPDX-License-Identifier: Apache-2.0
--- Plain pictures of lines and texts, for charts as PNG: the same bytes for the same calls. Places are pixels from the
-- upper left, from 0; colours are {r, g, b}.
local tensor = require "msagen.tensor"

local raster = {}
raster.__index = raster

--- Pixels of a letter's cell, before it is scaled.
raster.CELL = { width = 6, height = 9 }

-- Letters of 5 x 9 pixels, the two lowest rows below the line: a row is a digit of base 32, its highest bit on the
-- left.
local GLYPHS = {
  ["0"] = "EHJLPHE00", ["1"] = "4C4444E00", ["2"] = "EH1248V00", ["3"] = "V2421HE00", ["4"] = "26AIV2200",
  ["5"] = "VGU11HE00", ["6"] = "68GUHHE00", ["7"] = "V12488800", ["8"] = "EHHEHHE00", ["9"] = "EHHF12C00",
  ["."] = "00000CC00", [","] = "00000C480", ["-"] = "000V00000", ["+"] = "044V44000", ["%"] = "OP248J300",
  ["("] = "248884200", [")"] = "842224800", ["/"] = "011248G00", [":"] = "0CC0CC000", ["="] = "00V0V0000",
  a = "00E1FHF00", b = "GGMPHHU00", c = "00EHGHE00", d = "11DJHHF00", e = "00EHVGE00", f = "698S88800", g = "00FHHF11E",
  h = "GGMPHHH00", i = "40C444E00", j = "20622229C", k = "GGIKOKI00", l = "C44444E00", m = "00QLLHH00", n = "00MPHHH00",
  o = "00EHHHE00", p = "00UHHUGGG", q = "00DJHF111", r = "00MPGGG00", s = "00EGE1U00", t = "88S889600", u = "00HHHJD00",
  v = "00HHHA400", w = "00HHLLA00", x = "00HA4AH00", y = "00HHHF11E", z = "00V248V00",
  A = "EHHVHHH00", B = "UHHUHHU00", C = "EHGGGHE00", D = "SIHHHIS00", E = "VGGUGGV00", I = "E44444E00", L = "GGGGGGV00",
  N = "HPLJHHH00", S = "FGGE11U00", T = "V44444400", U = "HHHHHHE00",
}

--- @param width, height pixels  @param colour of the ground
function raster.new(width, height, colour)
  local self = setmetatable({ width = width, height = height, palette = {}, rows = {} }, raster)
  local ground = self:colour(colour)
  for y = 0, height - 1 do
    local row = {}
    for x = 1, width do row[x] = ground end
    self.rows[y] = row
  end
  return self
end

-- A colour's three bytes.
function raster:colour(colour) return string.char(colour[1], colour[2], colour[3]) end

local function dot(self, x, y, bytes)
  if x >= 0 and x < self.width and y >= 0 and y < self.height then self.rows[y][x + 1] = bytes end
end

--- A filled rectangle.
function raster:box(x, y, width, height, colour)
  local bytes = self:colour(colour)
  for row = y, y + height - 1 do
    for column = x, x + width - 1 do dot(self, column, row, bytes) end
  end
end

--- A line of so many pixels, by Bresenham's steps.
function raster:line(x0, y0, x1, y1, colour, thick)
  local dx, dy, sx, sy = math.abs(x1 - x0), -math.abs(y1 - y0), x0 < x1 and 1 or -1, y0 < y1 and 1 or -1
  local off, before = dx + dy, (thick - 1) // 2
  while true do
    self:box(x0 - before, y0 - before, thick, thick, colour)
    if x0 == x1 and y0 == y1 then return end
    local twice = 2 * off
    if twice >= dy then off, x0 = off + dy, x0 + sx end
    if twice <= dx then off, y0 = off + dx, y0 + sy end
  end
end

--- How wide a text is.
function raster.width_of(text, scale) return #text * raster.CELL.width * scale end

--- A text with its upper left corner there; a letter that there is none of is left out.
function raster:text(x, y, text, colour, scale)
  for i = 1, #text do
    local glyph = GLYPHS[text:sub(i, i)] or ""
    for row = 1, #glyph do
      local bits = tonumber(glyph:sub(row, row), 32)
      for column = 0, 4 do
        if bits >> (4 - column) & 1 == 1 then
          self:box(x + ((i - 1) * raster.CELL.width + column) * scale, y + (row - 1) * scale, scale, scale, colour)
        end
      end
    end
  end
end

--- The picture, u8 [height,width,3].
function raster:picture()
  local rows = {}
  for y = 0, self.height - 1 do rows[y + 1] = table.concat(self.rows[y]) end
  return tensor.frombytes(table.concat(rows), "u8", { self.height, self.width, 3 })
end

return raster
