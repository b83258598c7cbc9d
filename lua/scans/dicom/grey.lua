-- SPDX-License-Identifier: Apache-2.0
--- How DICOM's grey is shown: modality (rescale or table), then VOI table, else the first window, else least to most;
-- MONOCHROME1 turned last (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2).
local display = require "msagen.display"

local grey = {}

local FUNCTIONS = { LINEAR = true, LINEAR_EXACT = true, SIGMOID = true }

-- Entry i of a list with one for each slice, or one for all.
local function of_slice(list, i) return list[#list == 1 and 1 or i] end

--- The rule of each slice, or one for all, as msagen.display takes them: rescaling or table, and window or VOI table
-- where there is one. Texts that a person should know are added to notes.
-- @param facts of one file  @param frames how many slices it gives
function grey.rules(facts, frames, notes)
  local rules = {}
  local count = math.max(#facts.rescale, #facts.windows) > 1 and frames or 1
  local unknown, zero
  for i = 1, count do
    local slope, intercept = table.unpack(of_slice(facts.rescale, i))
    local rule = { slope = slope == 0 and 1 or slope, intercept = intercept, table = facts.modality_lut,
      inverted = facts.photometric == "MONOCHROME1" }
    zero = zero or slope == 0
    local window = of_slice(facts.windows, i)[1]
    if facts.voi_lut then
      rule.kind, rule.voi = "table", facts.voi_lut
    elseif window then
      rule.a, rule.b, rule.kind = window[1], window[2], FUNCTIONS[window[3]] and window[3] or "LINEAR"
      unknown = unknown or not FUNCTIONS[window[3]] and window[3]
    end
    rules[i] = rule
  end
  if zero then notes[#notes + 1] = "RescaleSlope is 0: taken as 1" end
  if unknown then notes[#notes + 1] = ("VOILUTFunction %s is not known: taken as LINEAR"):format(unknown) end
  return rules
end

--- Whether the rules say all: no slice is shown by what is in the others.
function grey.complete(rules)
  for _, rule in ipairs(rules) do
    if not rule.kind then return false end
  end
  return true
end

--- Complete the rules of slices without a window: from the least to the largest modality value of all such slices, but
-- for padding.
-- @param stored tensor [N,H,W]  @param padding { value [, other end of a range] }
function grey.complete_with_range(rules, stored, padding)
  if grey.complete(rules) then return end
  local from, to = padding[1], padding[2] or padding[1]
  if from and from > to then from, to = to, from end
  local low, high = display.range(stored, rules, from, to)
  if not low then low, high = display.range(stored, rules) end
  for _, rule in ipairs(rules) do
    if not rule.kind then rule.kind, rule.a, rule.b = "range", low, high end
  end
end

--- Whether all slices have one slope and intercept, and none a table.
function grey.one_scale(rules)
  for _, rule in ipairs(rules) do
    if rule.table or rule.slope ~= rules[1].slope or rule.intercept ~= rules[1].intercept then return false end
  end
  return true
end

return grey
