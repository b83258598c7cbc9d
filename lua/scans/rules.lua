-- SPDX-License-Identifier: Apache-2.0
--- What is done to a scan's values before a network sees them: a closed table of rules, each named after who does it.
-- A rule as text is NAME or NAME:A/B/..., such as "window:40/400", and may end in the axes of slices, rows and columns,
-- "@kij". docs/preparation.md says what comes out of each.
local closed = require "support.closed"
local grid = require "scans.grid"
local schema = require "support.schema"

local rules = {}

-- A scaling (msagen.intensity) of clip(value, low, high) to 0..1; a constant becomes 0.
local function to_1(low, high, more)
  local made = { low = low, high = high, from = low, over = high > low and high - low or 1, times = 1 }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

-- MedSAM's: clipped, then by the clipped volume's own extremes to 0..255, truncated.
local function medsam(volume, low, high, more)
  local range = require("msagen.intensity").range(volume, false)
  local function clip(value) return math.max(low, math.min(high, value)) end
  local made = to_1(clip(range.low), clip(range.high), { times = 255, whole = true })
  for key, value in pairs(more or {}) do made[key] = value end
  return made, range
end

-- z-score of a clipped volume. @return it, and what makes a picture of the same values
local function z_score(low, high, mean, deviation)
  return { low = low, high = high, from = mean, over = math.max(deviation, 1e-8), times = 1 }, to_1(low, high)
end

local function ordered(a)
  if a[1] >= a[2] then return "LOW below HIGH" end
end

local function percentages(a)
  if a[1] < 0 or a[2] > 100 or a[1] >= a[2] then return "0 to 100, LOW below HIGH" end
end

local function wide(least)
  return function(a)
    if a[2] <= least then return ("a WIDTH above %d"):format(least) end
  end
end

--- The rules in the order in which they are listed.
--   arguments  names of their numbers; `default` where they may be left out
--   check      function(numbers) -> nil, or what was expected of them
--   scaling    function(numbers, volume) -> the scaling of values, msagen.intensity's range where it was needed, the
--              scaling of the picture where that is another; nil where there is a `source`
--   source     "stored": bytes of the file as they are; "grey": the format's own display rule
--   unit       what a number is multiplied by for its byte: 255, or 1 where numbers are 0..255 already
--   grid       "msa-btcv": it crops, turns and resamples (lua/scans/grid.lua)
rules.list = {
  { name = "none", source = "stored", unit = 1 },
  { name = "grey", source = "grey", unit = 1 },
  { name = "window", arguments = { "CENTRE", "WIDTH" }, check = wide(1), unit = 255,
    scaling = function(a)
      local middle, over = a[1] - 0.5, a[2] - 1
      return { low = middle - over / 2, high = middle + over / 2, from = middle, over = over, times = 1, plus = 0.5 }
    end },
  { name = "window-exact", arguments = { "CENTRE", "WIDTH" }, check = wide(0), unit = 255,
    scaling = function(a)
      return { low = a[1] - a[2] / 2, high = a[1] + a[2] / 2, from = a[1], over = a[2], times = 1, plus = 0.5 }
    end },
  { name = "range", arguments = { "LOW", "HIGH" }, check = ordered, unit = 255,
    scaling = function(a) return to_1(a[1], a[2]) end },
  { name = "minmax", unit = 255,
    scaling = function(_, volume)
      local range = require("msagen.intensity").range(volume, false)
      return to_1(range.low, range.high), range
    end },
  { name = "percentile", arguments = { "LOW", "HIGH" }, check = percentages, unit = 255,
    scaling = function(a, volume)
      local low, high = require("msagen.intensity").percentiles(volume, false, a[1], a[2])
      return to_1(low or 0, high or 0)
    end },
  { name = "percentile-trunc", arguments = { "LOW", "HIGH" }, check = percentages, unit = 1,
    scaling = function(a, volume)
      local low, high = require("msagen.intensity").percentiles(volume, false, a[1], a[2])
      return to_1(low or 0, high or 0, { times = 255, whole = true })
    end },
  { name = "medsam-ct", arguments = { "CENTRE", "WIDTH" }, default = { 40, 400 }, check = wide(0), unit = 1,
    scaling = function(a, volume) return medsam(volume, a[1] - a[2] / 2, a[1] + a[2] / 2) end },
  { name = "medsam-mr", unit = 1,
    scaling = function(_, volume)
      local low, high = require("msagen.intensity").percentiles(volume, true, 0.5, 99.5)
      return medsam(volume, low or 0, high or 0, { keep_zero = true })
    end },
  { name = "msa-btcv", unit = 255, grid = "msa-btcv", scaling = function() return to_1(-175, 250) end },
  { name = "nnunet-ct", arguments = { "LOW", "HIGH", "MEAN", "DEVIATION" }, unit = 255,
    check = function(a) return ordered(a) or a[4] <= 0 and "a DEVIATION above 0" or nil end,
    scaling = function(a)
      local z, picture = z_score(a[1], a[2], a[3], a[4])
      return z, nil, picture
    end },
  { name = "nnunet-mr", unit = 255,
    scaling = function(_, volume)
      local intensity = require "msagen.intensity"
      local range = intensity.range(volume, false)
      local z, picture = z_score(range.low, range.high, range.mean, intensity.deviation(volume, range.mean))
      return z, range, picture
    end },
}

--- Windows that radiologists habitually use, and other names: name -> the rule that it stands for.
rules.habits = { abdomen = "window:40/400", bone = "window:400/1800", brain = "window:40/80", dicom = "grey",
  liver = "window:60/160", lung = "window:-600/1500", mediastinum = "window:50/350" }

local by_name = {}
--- All names that a rule's text may begin with: the rules in their order, then the habits.
rules.names = {}
for i, rule in ipairs(rules.list) do by_name[rule.name], rules.names[i] = rule, rule.name end
for _, name in ipairs(closed.sorted(rules.habits)) do rules.names[#rules.names + 1] = name end

--- How a rule is written: "window:CENTRE/WIDTH", "medsam-ct[:CENTRE/WIDTH]".
function rules.form(rule)
  if not rule.arguments then return rule.name end
  local text = ":" .. table.concat(rule.arguments, "/")
  return rule.name .. (rule.default and "[" .. text .. "]" or text)
end

-- Numbers separated by slashes, or nil.
local function numbers(text)
  local list = {}
  for piece in (text .. "/"):gmatch "([^/]*)/" do
    local number = piece:match "^[+-]?%d*%.?%d*$" and tonumber(piece) or piece:match "^[+-]?[%d.]+[eE][+-]?%d+$"
      and tonumber(piece)
    if not number or number - number ~= 0 then return nil end
    list[#list + 1] = number
  end
  return list
end

local function shown(text)
  local short = #text > 60 and text:sub(1, 57) .. "..." or text
  return text == "" and "an empty text" or (short:gsub("%c", " "))
end

-- What a rule's text says: its entry, numbers, and axes or nil; or nil, what was expected, and what was found.
local function read(text)
  local plain, axes = text:match "^(.*)@(.*)$"
  plain = plain or text
  plain = rules.habits[plain] or plain
  local name, rest = plain:match "^([^:]*):(.*)$"
  name = name or plain
  local entry = by_name[name]
  if not entry and rules.habits[name] then return nil, name .. " without numbers", shown(text) end
  if not entry then return nil, closed.list(rules.names), shown(text) .. closed.hint(name, rules.names) end
  local list = rest and numbers(rest) or not rest and (entry.default or {}) or nil
  if not list then return nil, rules.form(entry) .. (entry.arguments and " with numbers" or ""), shown(text) end
  local expected = #list ~= #(entry.arguments or {}) and rules.form(entry) or entry.check and entry.check(list)
  if expected then return nil, expected, shown(text) end
  if axes and entry.grid then return nil, name .. " without axes, as it has its own", shown(text) end
  if axes and not grid.is_axes(axes) then
    return nil, "axes of slices, rows and columns, such as @kij or @SPL", shown(text)
  end
  return entry, list, axes
end

-- A number as short as it can be read back.
local function written(number)
  local short = ("%.14g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

--- A rule's text as a rule: { text = as it is written, numbers =, axes = what followed @ or nil, grid = a text where
-- the picture's grid is not the scan's, and the other fields of rules.list }.
-- @return nil and what was expected and found, where it is none
function rules.parse(text)
  if type(text) ~= "string" then return nil, ("expected a rule's text, found a %s"):format(type(text)) end
  local entry, list, axes = read(text)
  if not entry then return nil, ("expected %s, found %s"):format(list, axes) end
  local texts, rule = {}, {}
  for i, number in ipairs(list) do texts[i] = written(number) end
  for key, value in pairs(entry) do rule[key] = value end
  rule.numbers, rule.axes, rule.grid = list, axes, axes and "turned" or entry.grid
  rule.text = entry.name .. (#texts > 0 and ":" .. table.concat(texts, "/") or "") .. (axes and "@" .. axes or "")
  return rule
end

--- A rule's text, as a kind of a schema.
rules.kind = schema.kind(function(value)
  if type(value) ~= "string" then return "a rule's text, such as window:40/400" end
  local entry, expected, found = read(value)
  if not entry then return expected, found end
end)

return rules
