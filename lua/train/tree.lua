-- SPDX-License-Identifier: Apache-2.0
--- The order in which the gradients of a batch's images are added: a binary tree over all of them, whoever computed
-- them. The sum of n images is that of the first ones, as many as the largest power of two below n, plus that of the
-- rest; of one image it is its own. So any split of the batch over processes gives the same bits.
local tree = {}
tree.__index = tree

-- Note of each part of [from, to) which two it is made of.
local function divide(from, to, parts)
  local n, half = to - from, 1
  if n < 2 then return end
  while half * 2 < n do half = half * 2 end
  local middle = from + half
  local whole = { from = from, to = to, left = { from, middle }, right = { middle, to } }
  parts[from .. ":" .. middle], parts[middle .. ":" .. to] = whole, whole
  divide(from, middle, parts)
  divide(middle, to, parts)
end

--- A tree over n images. @param n at least 1
function tree.new(n)
  local parts = {}
  divide(0, n, parts)
  return setmetatable({ n = n, parts = parts, held = {} }, tree)
end

--- Add the sum of images from (from 0) to `to` (exclusive), which is a part of the tree; sums whose halves are both
-- there are made. @param tensor f32, flat
function tree:add(from, to, tensor)
  local key = from .. ":" .. to
  assert(not self.held[key] and (self.parts[key] or to - from == self.n), "tree: no part, or there twice")
  self.held[key] = { from = from, to = to, tensor = tensor }
  local whole = self.parts[key]
  local left = whole and self.held[whole.left[1] .. ":" .. whole.left[2]]
  local right = whole and self.held[whole.right[1] .. ":" .. whole.right[2]]
  if not (left and right) then return end
  self.held[left.from .. ":" .. left.to], self.held[right.from .. ":" .. right.to] = nil, nil
  self:add(whole.from, whole.to, left.tensor:add(right.tensor))
end

--- The sums that are held, in order: a list of { from, to, tensor }.
function tree:sums()
  local list = {}
  for _, sum in pairs(self.held) do list[#list + 1] = sum end
  table.sort(list, function(a, b) return a.from < b.from end)
  return list
end

--- The sum of all images, or nil where some are missing.
function tree:total()
  local sum = self.held["0:" .. self.n]
  return sum and sum.tensor
end

--- The parts that a process holds in the end which has images from `from` to `to`, in order: a list of { from, to }.
function tree:of(from, to)
  local list = {}
  local function collect(a, b)
    if b <= from or a >= to then return end
    if a >= from and b <= to then
      list[#list + 1] = { a, b }
      return
    end
    local half = 1
    while half * 2 < b - a do half = half * 2 end
    collect(a, a + half)
    collect(a + half, b)
  end
  collect(0, self.n)
  return list
end

return tree
