-- SPDX-License-Identifier: Apache-2.0
--- Bounds of the loops of generated C, read off its text: how often each runs at most, whatever it is given. A bound is
-- a number, an entry of a constant table, a parameter that has numbers in all calls, or a constant made of these.
local bounds = require "evidence.bounds"
local split = require "kernels.operations".split

local loops = {}

-- Whether a function gives a parameter another value.
local function assigned(text, name)
  local body = text:match "{.*$" or ""
  return body:find("%f[%w_]" .. name .. " [-+*/%%&|^]?= ") or body:find("%f[%w_]" .. name .. " ?[<>][<>]= ")
    or body:find("[-+][-+]" .. name .. "%f[^%w_]") or body:find("%f[%w_]" .. name .. "[-+][-+]")
end

local Bounds = {}
Bounds.__index = Bounds

-- What a name is at most within a function; of a parameter over all calls.
function Bounds:look(made, name, entry, depth)
  if depth > 12 then return bounds.UNKNOWN end
  if entry then return made.tables[name] or bounds.UNKNOWN end
  local constant = made.constants[name]
  if constant then
    return bounds.evaluate(constant, function(one, of_table) return self:look(made, one, of_table, depth + 1) end)
  end
  local place = made.parameters[name]
  if place and assigned(made.f.text, name) then return bounds.UNKNOWN end
  if place then return self:parameter(made, name, place, depth + 1) end
  return bounds.UNKNOWN
end

function Bounds:parameter(made, name, place, depth)
  local key = made.f.key .. "\n" .. name
  if self.known[key] ~= nil then return self.known[key] end
  self.known[key] = bounds.UNKNOWN -- of a call within itself nothing is known
  local low, high, any = math.huge, 0, false
  for _, call in ipairs(self.calls[made.f.key] or {}) do
    local value = call.arguments[place] and bounds.evaluate(call.arguments[place], function(one, of_table)
      return self:look(call.from, one, of_table, depth + 1)
    end) or bounds.UNKNOWN
    any, low = true, math.min(low, value[1])
    high = high and value[2] and math.max(high, value[2])
  end
  self.known[key] = any and { low, high } or bounds.UNKNOWN
  return self.known[key]
end

-- Calls of each function: key -> list of { from, arguments }.
local function calls_of(all, of)
  local calls = {}
  for _, made in ipairs(all) do
    local body = made.f.text:match "^[^{]*({.*)$" or ""
    for name, arguments in body:gmatch "([%a_][%w_]*)(%b())" do
      local target = of.find(made.f.file, name)
      if target and made.f.calls[target.key] then
        calls[target.key] = calls[target.key] or {}
        table.insert(calls[target.key], { from = made, arguments = split(arguments:sub(2, -2)) })
      end
    end
  end
  return calls
end

--- The loops of some files' functions.
-- @param of evidence.text's @param stems set of files
-- @return a list in order of { key, name, file, line, header, trips = at most, or nil where no bound was found }
function loops.of(of, stems)
  local all, out = {}, {}
  for i, f in ipairs(of.functions) do all[i] = bounds.parsed(f) end
  local self = setmetatable({ known = {}, calls = calls_of(all, of) }, Bounds)
  for _, made in ipairs(all) do
    if stems[made.f.stem] then
      for _, loop in ipairs(made.loops) do
        out[#out + 1] = { key = made.f.key, name = made.f.name, file = made.f.file, line = loop.line,
          header = loop.header,
          trips = (bounds.trips(loop.header, function(one, of_table)
            return self:look(made, one, of_table, 0)
          end)) }
      end
    end
  end
  return out
end

return loops
