-- SPDX-License-Identifier: Apache-2.0
--- What change.differences found, as one JSON object: the same names, lists as arrays where they are empty, too.
local json = require "msagen.json"

-- Fields that are lists, wherever they stand.
local LISTS = { files = true, constants = true, sizes = true, asked = true, plan = true, changed_by_hand = true,
  added = true, removed = true, changed = true, macros = true, declarations = true, tensors = true, touched = true,
  inputs = true, options = true, names = true, checks = true }

-- A text that JSON can hold.
local function text_of(value) return utf8.len(value) and value or (value:gsub("[\128-\255]", "?")) end

local function plain(value)
  if type(value) == "string" then return text_of(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, member in pairs(value) do
    key = type(key) == "string" and text_of(key) or key
    local made = plain(member)
    if LISTS[key] and type(made) == "table" and (#made > 0 or next(made) == nil) then json.array(made) end
    copy[key] = made
  end
  return copy
end

--- @param found of change.differences @return its text
return function(found) return json.encode(plain(found), { indent = 1 }) .. "\n" end
