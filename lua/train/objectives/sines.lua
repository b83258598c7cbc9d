-- SPDX-License-Identifier: Apache-2.0
--- Fixed positions of a grid (He et al. 2022): sines and cosines of the column, then of the row. All in double
-- precision by series of our own, so that they are the same on every machine.

local tensor = require "msagen.tensor"

local sines = {}

local TAU = 2 * math.pi

-- Sine and cosine of x >= 0.
local function of(x)
  x = (x - TAU * math.floor(x / TAU)) / 8
  local sine, cosine, term = 0.0, 0.0, 1.0
  for k = 0, 20 do
    local sign = k % 4 < 2 and 1 or -1
    if k % 2 == 0 then cosine = cosine + sign * term else sine = sine + sign * term end
    term = term * x / (k + 1)
  end
  for _ = 1, 3 do sine, cosine = 2 * sine * cosine, cosine * cosine - sine * sine end
  return sine, cosine
end

-- e^-x, x >= 0.
local function decayed(x)
  local sum, term = 1.0, 1.0
  for k = 1, 20 do
    term = -term * (x / 16) / k
    sum = sum + term
  end
  for _ = 1, 4 do sum = sum * sum end
  return sum
end

local LN_10000 = 9.210340371976182736

--- The positions [side^2,width] of a square grid, width a multiple of 4.
function sines.of(side, width)
  local list, quarter, at = {}, width // 4, {}
  for place = 0, side - 1 do
    at[place] = {}
    for i = 0, quarter - 1 do
      at[place][i + 1], at[place][quarter + i + 1] = of(place * decayed(LN_10000 * i / quarter))
    end
  end
  for row = 0, side - 1 do
    for column = 0, side - 1 do
      table.move(at[column], 1, 2 * quarter, #list + 1, list)
      table.move(at[row], 1, 2 * quarter, #list + 1, list)
    end
  end
  return tensor.from(list, { side * side, width })
end

return sines
