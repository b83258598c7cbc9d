-- SPDX-License-Identifier: Apache-2.0
-- Symbolic shapes against found ones: binds variables to values, remembers which tensor gave each, explains what does not fit.

local shapes = {}

--- "[3,48]" of a table of dimensions (numbers or texts).
function shapes.text(shape)
  local parts = {}
  for i, size in ipairs(shape) do parts[i] = tostring(size) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function parse(term)
  if type(term) == "number" then return nil, term end
  local factor, variable = term:match("^(%d+)%*([%a%.][%w_]*)$")
  if factor then return variable, tonumber(factor), 1 end
  local name, divisor = term:match("^([%a%.][%w_]*)/(%d+)$")
  if name then return name, 1, tonumber(divisor) end
  return term, 1, 1
end

--- The shape as text with known values filled in, and ", where dim = 48 as in NAME" for the values it used.
local function explain(entry, bound, show)
  local shown, reasons, told = {}, {}, {}
  for i, term in ipairs(entry.shape) do
    local variable, factor, divisor = parse(term)
    local scope = variable and (variable:sub(1, 1) == "." and entry.group or bound)
    local value = scope and scope[variable]
    if not variable then
      shown[i] = term
    elseif not value then
      shown[i] = (term:gsub("%.", ""))
    else
      shown[i] = value.size * factor % divisor == 0 and value.size * factor // divisor or (term:gsub("%.", ""))
      if not told[variable] and value.from ~= entry.name then
        told[variable] = true
        reasons[#reasons + 1] = ("%s = %d, from %s"):format(variable:gsub("%.", ""), value.size, show(value.from))
      end
    end
  end
  return shapes.text(shown) .. (#reasons > 0 and " (" .. table.concat(reasons, "; ") .. ")" or "")
end

--- Check one entry of import.network against the shape found; true, or false and what was expected.
-- bound: variable -> {size, from}; entry.group holds the dotted ones. show(name) spells a name as the file does.
function shapes.fit(entry, found, bound, show)
  local fits = #found == #entry.shape
  local fresh = {}
  if fits then
    for i, term in ipairs(entry.shape) do
      local variable, factor, divisor = parse(term)
      if not variable then
        fits = fits and found[i] == factor
      else
        local scope = variable:sub(1, 1) == "." and entry.group or bound
        local value = scope[variable]
        if value then
          fits = fits and value.size * factor == found[i] * divisor
        elseif factor == 1 and divisor == 1 and found[i] >= 1 then
          scope[variable] = { size = found[i], from = entry.name }
          fresh[#fresh + 1] = { scope, variable }
        else
          fits = false
        end
      end
    end
  end
  if fits then return true end
  for _, one in ipairs(fresh) do one[1][one[2]] = nil end
  return false, explain(entry, bound, show)
end

return shapes
