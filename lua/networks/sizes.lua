-- SPDX-License-Identifier: Apache-2.0
--- Sizes that a file tells: unknowns that the first tensor with such a dimension gives a value, and terms of them, 3 *
-- dim or out // 2, that every later tensor must agree with. Where sizes are known beforehand, numbers stand in their
-- place.

local sizes = {}

local Size = {}
Size.__index = Size

local function term(unknown, factor, divisor)
  return setmetatable({ unknown = unknown, factor = factor, divisor = divisor }, Size)
end

Size.__mul = function(factor, of)
  if type(of) == "number" then factor, of = of, factor end
  return term(of.unknown, of.factor * factor, of.divisor)
end

Size.__idiv = function(of, divisor) return term(of.unknown, of.factor, of.divisor * divisor) end

--- As it is printed: dim, 3*dim, out/2.
Size.__tostring = function(self)
  return (self.factor ~= 1 and self.factor .. "*" or "") .. self.unknown.name .. (self.divisor ~= 1
    and "/" .. self.divisor or "")
end

--- @param name for messages @return a size whose `unknown` = { name, size = its value once there is one, from = the
-- tensor that gave it }
function sizes.unknown(name) return term({ name = name }, 1, 1) end

--- The value of a size, of a number too; nil where it is unknown or not whole.
function sizes.value(size)
  if type(size) == "number" then return size end
  local value = size.unknown.size
  return value and value * size.factor % size.divisor == 0 and value * size.factor // size.divisor or nil
end

--- An unknown for each name: { name = size }.
function sizes.unknowns(list)
  local all = {}
  for _, name in ipairs(list) do all[name] = sizes.unknown(name) end
  return all
end

return sizes
