-- SPDX-License-Identifier: Apache-2.0
--- Closed sets of names: what is none of them is refused, and the nearest one suggested.
local fail = require "support.fail"

local closed = {}

local LONGEST = 64 -- a longer word is nobody's slip of the pen

-- Insertions, deletions, substitutions and exchanges of neighbours that lead from one word to another.
local function distance(a, b)
  local before, last, row = nil, {}, nil
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

local function plain(word) return (word:lower():gsub("[-_. ]", "")) end

--- The name of a list that a person most likely meant by a word, or nil where none is near: a third of the letters may
-- differ; case, `-`, `_`, `.` and blanks do not count, and a word that begins or ends just one of the names stands for
-- it.
-- @param word any value; only texts are near to anything
function closed.nearest(word, names)
  if type(word) ~= "string" or #word > LONGEST then return nil end
  local wanted, best, least = plain(word), nil, math.huge
  if wanted == "" then return nil end
  local part, parts = nil, 0
  for _, name in ipairs(names) do
    local one = plain(name)
    local steps = distance(wanted, one)
    if steps <= math.max(1, math.max(#wanted, #one) // 3) then
      if steps == least then best = nil end -- two are as near: neither is told
      if steps < least then best, least = name, steps end
    end
    if #wanted >= 3 and (one:sub(1, #wanted) == wanted or one:sub(-#wanted) == wanted) then
      part, parts = name, parts + 1
    end
  end
  return best or parts == 1 and part or nil
end

--- The names of a set (a table's keys), in order.
function closed.sorted(set)
  local names = {}
  for key in pairs(set) do names[#names + 1] = tostring(key) end
  table.sort(names)
  return names
end

--- "a, b or c".
function closed.list(names)
  if #names < 2 then return names[1] or "none" end
  return table.concat(names, ", ", 1, #names - 1) .. " or " .. names[#names]
end

--- " (did you mean NAME?)" where a name is near, else an empty text: the end of a refusal.
function closed.hint(word, names)
  local near = closed.nearest(word, names)
  return near and (" (did you mean %s?)"):format(near) or ""
end

-- A value as a message shows it: short, in one line.
local function shown(value)
  if value == nil then return "none" end
  if type(value) == "string" then
    return value == "" and "an empty text" or ((#value > 60 and value:sub(1, 57) .. "..." or value):gsub("%c", " "))
  end
  return type(value) == "table" and "a table" or type(value) == "function" and "a function" or tostring(value)
end

--- The value, if it is one of the names; else the error "WHERE: expected a, b or c, found x (did you mean b?)".
-- @param where what the message begins with: file and field, or option
function closed.member(value, names, where)
  for _, name in ipairs(names) do
    if name == value then return value end
  end
  fail("%s: expected %s, found %s%s", where, closed.list(names), shown(value), closed.hint(value, names))
end

return closed
