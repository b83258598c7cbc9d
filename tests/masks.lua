-- SPDX-License-Identifier: Apache-2.0
-- Masks as flat arrays of 0/255: reading them and comparing them.
local image = require "msagen.image"
local fail = require "support.fail"

local M = {}

--- A mask {height=, width=, values, ...} from a PNG; a pixel belongs to it where its first channel is over 127.
function M.read(path)
  local picture = image.read(path)
  local height, width = picture.shape[1], picture.shape[2]
  local flat = picture:totable()
  local mask = { height = height, width = width, path = path }
  for i = 1, height * width do mask[i] = flat[3 * i - 2] > 127 end
  return mask
end

local function check_sizes(a, b)
  if a.height ~= b.height or a.width ~= b.width then
    fail("%s: is %dx%d, %s is %dx%d", a.path, a.width, a.height, b.path, b.width, b.height)
  end
end

--- 2|A and B| / (|A| + |B|); 1 where both are empty.
function M.dice(a, b)
  check_sizes(a, b)
  local both, sum = 0, 0
  for i = 1, #a do
    if a[i] and b[i] then both = both + 1 end
    sum = sum + (a[i] and 1 or 0) + (b[i] and 1 or 0)
  end
  return sum == 0 and 1.0 or 2 * both / sum
end

--- The share of pixels on which two masks agree.
function M.agreement(a, b)
  check_sizes(a, b)
  local same = 0
  for i = 1, #a do
    if a[i] == b[i] then same = same + 1 end
  end
  return same / #a
end

return M
