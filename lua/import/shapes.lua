-- SPDX-License-Identifier: Apache-2.0
-- Declared shapes against found ones: gives sizes their values, remembers which tensor gave each, explains what does
-- not fit.

local sizes = require "networks.sizes"

local shapes = {}

--- "[3,48]" of a table of dimensions: numbers, texts, sizes.
function shapes.text(shape)
  local parts = {}
  for i, size in ipairs(shape) do parts[i] = tostring(size) end
  return "[" .. table.concat(parts, ",") .. "]"
end

--- The shape as text with known values filled in, and " (dim = 48, from NAME)" for the values it used.
local function explain(entry, show)
  local shown, reasons, told = {}, {}, {}
  for i, size in ipairs(entry.shape) do
    local unknown = type(size) ~= "number" and size.unknown
    shown[i] = sizes.value(size) or size
    if unknown and unknown.size and not told[unknown] and unknown.from ~= entry.name then
      told[unknown] = true
      reasons[#reasons + 1] = ("%s = %d, from %s"):format(unknown.name, unknown.size, show(unknown.from))
    end
  end
  return shapes.text(shown) .. (#reasons > 0 and " (" .. table.concat(reasons, "; ") .. ")" or "")
end

--- Check a declaration (networks/parameters.lua) against the shape found. Sizes without a value get theirs, where all
-- of it fits.
-- @param show function(name): a name as the file spells it @return true, or false and what was expected
function shapes.fit(entry, found, show)
  local fits, fresh = #found == #entry.shape, {}
  for i, size in ipairs(fits and entry.shape or {}) do
    if type(size) == "number" then
      fits = fits and found[i] == size
    elseif size.unknown.size then
      fits = fits and size.unknown.size * size.factor == found[i] * size.divisor
    elseif size.factor == 1 and size.divisor == 1 and found[i] >= 1 then
      size.unknown.size, size.unknown.from = found[i], entry.name
      fresh[#fresh + 1] = size.unknown
    else
      fits = false
    end
  end
  if fits then return true end
  for _, unknown in ipairs(fresh) do unknown.size, unknown.from = nil, nil end
  return false, explain(entry, show)
end

return shapes
