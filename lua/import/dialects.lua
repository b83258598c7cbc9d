-- SPDX-License-Identifier: Apache-2.0
-- The known dialects (one file each in import/dialects/, found by looking there, checked by import/dialect_check.lua)
-- and which of them a file may be.

local closed = require "support.closed"
local fail = require "support.fail"
local marks = require "import.marks"

local dialects = {}

local function folder()
  local here = assert(package.searchpath("import.dialects", package.path))
  return (here:gsub("%.lua$", ""))
end

local function files(path)
  local list = {}
  local ok, sys = pcall(require, "msagen.sys")
  if ok then
    for _, name in ipairs(sys.list(path)) do list[#list + 1] = name end
  else
    for name in require("lfs").dir(path) do list[#list + 1] = name end
  end
  return list
end

-- A program's other network: the fields that differ stand for the dialect's.
local function variant_of(dialect, fields)
  local made = {}
  for key, value in pairs(dialect) do made[key] = value end
  for key, value in pairs(fields) do made[key] = value end
  made.variant, made.other = nil, nil
  return made
end

-- The table of a dialect's file, checked; what is wrong in it is the file's error.
local function load_dialect(stem)
  local path = ("%s/%s.lua"):format(folder(), stem)
  local ok, dialect = pcall(require, "import.dialects." .. stem)
  if not ok then
    if type(dialect) == "table" then error(dialect, 0) end
    fail("%s: expected a file that returns a table, found %s", path, (tostring(dialect):gsub("%c", " ")))
  end
  local check = require "import.dialect_check"
  check.dialect(dialect, path, stem)
  if dialect.variant then
    dialect.other = variant_of(dialect, dialect.variant)
    check.dialect(dialect.other, path .. ": variant", stem)
  end
  return dialect
end

local known

--- All dialects, oldest first.
function dialects.all()
  if not known then
    local list = {}
    for _, file in ipairs(files(folder())) do
      local stem = file:match("^(.+)%.lua$")
      if stem then list[#list + 1] = load_dialect(stem) end
    end
    table.sort(list, function(a, b)
      if a.order ~= b.order then return a.order < b.order end
      return a.name < b.name
    end)
    known = list
  end
  return known
end

-- Fields that say nothing of what the network computes of an image that is prepared.
local ASIDE = {}
for field in ("name source order variant other marks warnings training resampling resize normalise mask_from")
  :gmatch "%S+" do
  ASIDE[field] = true
end

--- Whether two dialects have the same network, each with a preparation of its own: one is derived from the other.
function dialects.same_network(a, b)
  for _, pair in ipairs { { a, b }, { b, a } } do
    for field, value in pairs(pair[1]) do
      if not ASIDE[field] and pair[2][field] ~= value then return false end
    end
  end
  return true
end

--- The dialect of a name. @param where what a refusal begins with, or nil: gives nil for a name that is none
function dialects.named(name, where)
  local all = {}
  for i, dialect in ipairs(dialects.all()) do
    if dialect.name == name then return dialect end
    all[i] = dialect.name
  end
  if where then closed.member(name, all, where) end
end

--- "sam, msa-2023, ..." of some dialects.
function dialects.list(some, separator)
  local list = {}
  for i, dialect in ipairs(some) do list[i] = dialect.name end
  return table.concat(list, separator or ", ")
end

--- nil if the traits may be the dialect's; else what it needs and what was found, as texts.
function dialects.contradiction(dialect, traits)
  for _, mark in ipairs(marks) do
    local found, fits, wanted = traits[mark.name], false, {}
    for _, value in ipairs(dialect.marks[mark.name] or mark.default) do
      fits = fits or found == value
      wanted[#wanted + 1] = mark.spoken[value]
    end
    if not fits and found ~= "none" then
      return table.concat(wanted, " or "), mark.spoken[found]
    end
  end
  if traits.lora and traits.encoder_adapters then
    return "encoder adapters or LoRA pairs", "both"
  end
end

--- The one of a dialect's networks that the traits allow: its variant where they contradict the dialect alone. What
-- shows too little, as adapters by themselves do, is not taken for it.
function dialects.fitting(dialect, traits)
  local other = traits.rel ~= "none" and traits.mlp ~= "none" and dialect.other
  local fits = not other or not dialects.contradiction(dialect, traits) or dialects.contradiction(other, traits)
  return fits and dialect or other
end

--- The dialects that the traits allow.
function dialects.candidates(traits)
  local list = {}
  for _, one in ipairs(dialects.all()) do
    local dialect = dialects.fitting(one, traits)
    local adapted = traits.encoder_adapters or traits.decoder_adapters or traits.conv_adapters or traits.lora
    if not dialects.contradiction(dialect, traits) and (adapted or not dialect.adapted) then
      list[#list + 1] = dialect
    end
  end
  return list
end

--- What the names show, in words.
function dialects.describe(traits)
  local list = {}
  for _, mark in ipairs(marks) do
    if traits[mark.name] ~= "none" then list[#list + 1] = mark.spoken[traits[mark.name]] end
  end
  return table.concat(list, ", ")
end

return dialects
