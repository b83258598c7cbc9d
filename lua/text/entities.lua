-- SPDX-License-Identifier: Apache-2.0
--- HTML's names and numbers of characters (&amp; &#181;) in a text, in two ways: as HTML reads them, and only those
-- that nobody writes without meaning them.

local sys = require "msagen.sys"
local unicode = require "msagen.unicode"

local entities = {}

-- Name without & -> characters; some names need no semicolon, and are there with and without.
local function read()
  local of = {}
  for line in sys.read_file(msagen.datadir .. "/data/clip/entities.txt"):gmatch "[^\n]+" do
    local name, codes = line:match "^([%w;]+) (.+)$"
    if name then
      local list = {}
      for code in codes:gmatch "%x+" do list[#list + 1] = tonumber(code, 16) end
      of[name] = utf8.char(table.unpack(list))
    end
  end
  return of
end

local named
local function names()
  named = named or read()
  return named
end

-- What numbers from 0x80 on mean that were meant for Windows-1252; 0 where there is none.
local WINDOWS = { [0] = 0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039,
  0x152, 0x8D, 0x17D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122, 0x161, 0x203A,
  0x153, 0x9D, 0x17E, 0x178 }

local REPLACEMENT = "\u{FFFD}"

local function is_control(code)
  return code < 0x20 and code ~= 9 and code ~= 10 and code ~= 12 and code ~= 13 or code == 0x7F
    or code >= 0xFDD0 and code <= 0xFDEF or code & 0xFFFE == 0xFFFE
end

-- The character of a number, as browsers have it.
local function numbered(digits, base)
  local code = #digits:gsub("^0+", "") > 8 and math.maxinteger or tonumber(digits, base)
  if code >= 0x80 and code <= 0x9F then return utf8.char(WINDOWS[code - 0x80]) end
  if code == 0 or code >= 0xD800 and code <= 0xDFFF or code > 0x10FFFF then return REPLACEMENT end
  return is_control(code) and "" or utf8.char(code)
end

local LONGEST = 33 -- of a name, with its semicolon

-- The characters of what begins behind an &, and where it ends; nil where it is no name.
local function reference(text, at)
  local x, digits, behind = text:match("^#([xX]?)(%x+);?()", at)
  if x == "" then digits, behind = text:match("^#(%d+);?()", at) end
  if digits then return numbered(digits, x == "" and 10 or 16), behind end
  local run = text:match("^[^\t\n\f <&#;]+;?", at)
  for length = run and math.min(#run, LONGEST) or 0, 2, -1 do
    local found = names()[run:sub(1, length)]
    if found then return found, at + length end
  end
end

--- As HTML has it: names that need no semicolon stand at the beginning of a longer word, too.
function entities.read(text)
  local out, at = {}, 1
  while true do
    local mark = text:find("&", at, true)
    if not mark then break end
    local found, behind = reference(text, mark + 1)
    out[#out + 1] = text:sub(at, mark - 1) .. (found or "&")
    at = found and behind or mark + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

-- A name in capitals, of one that exists in small letters alone.
local function in_capitals(name)
  local small = name:lower()
  local found = name == name:upper() and name ~= small and names()[small]
  return found and entities.read("&" .. name) == "&" .. name and unicode.upper(found) or nil
end

local MOST = 24 -- letters and digits of a name

--- Only with their semicolons; names in capitals, too, where these are no others.
function entities.read_plain(text)
  return (text:gsub("&(#?)(%w+);", function(mark, name)
    if #name > MOST then return nil end
    if mark == "" then return names()[name .. ";"] or in_capitals(name .. ";") end
    local found = entities.read("&#" .. name .. ";")
    return not found:find(";", 1, true) and found or nil
  end))
end

return entities
