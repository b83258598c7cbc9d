-- SPDX-License-Identifier: Apache-2.0
--- A data set of bright discs on dark ground, in images/ and masks/: something that can be learned in seconds.
local image = require "msagen.image"
local random = require "msagen.random"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

--- Write `count` cases c1, c2, ... of different sizes, all wider than high.
return function(root, count)
  sys.mkdir_p(root .. "/images")
  sys.mkdir_p(root .. "/masks")
  for i = 1, count do
    local key, h, w = random.key(7, i), 40 + i * 5, 60 + i * 7
    local cx, cy = 15 + random.below(key, 0, w - 30), 12 + random.below(key, 1, h - 24)
    local r, greys, inside = 8 + random.below(key, 2, 7), {}, {}
    for at = 0, h * w - 1 do
      local dx, dy = at % w - cx, at // w - cy
      local disc = dx * dx + dy * dy < r * r
      local v = (disc and 170 or 60) + random.below(key, 3 + at, 50)
      greys[at + 1], inside[at + 1] = string.char(v, v, v), disc and "\255" or "\0"
    end
    image.write_png(("%s/images/c%d.png"):format(root, i), tensor.frombytes(table.concat(greys), "u8", { h, w, 3 }))
    image.write_png(("%s/masks/c%d.png"):format(root, i), tensor.frombytes(table.concat(inside), "u8", { h, w }))
  end
end
