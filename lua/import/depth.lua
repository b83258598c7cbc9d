-- SPDX-License-Identifier: Apache-2.0
-- The grid on which the depth branch lays out a sequence of tokens.

local depth = {}

--- dh, dw with dh*dw = length, as the released programs search them; nil for length 1, where their search never ends.
function depth.grid(length)
  if length < 2 then return nil end
  local a = math.tointeger(math.sqrt(length) // 1)
  local b = a + 1
  while a * b ~= length do
    if a * b < length then b = b + 1 else a = a - 1 end
  end
  return a, b
end

return depth
