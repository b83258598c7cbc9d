-- SPDX-License-Identifier: Apache-2.0
--- What is DICOM by its first bytes: "DICM" behind 128 bytes, or data elements from the first byte on, as old files and
-- those that were cut out of a transfer have (PS3.5 section 7, PS3.10 section 7).
local sys = require "msagen.sys"

local recognise = {}

local PREAMBLE = 128 -- bytes before "DICM"; they may hold anything
local LOOKED_AT = 192

-- Value representations whose length has 32 bits, behind two bytes of nothing.
local LONG = {}
for vr in ("OB OD OF OL OV OW SQ SV UC UN UR UT UV"):gmatch "%a+" do LONG[vr] = true end
local SHORT = {}
for vr in ("AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US"):gmatch "%a+" do SHORT[vr] = true end

-- The element at `at`: its tag as one number, and where the next begins; nil where these bytes are none.
local function element(start, at, order, explicit)
  if #start < at + 7 then return nil end
  local group, number = string.unpack(order .. "I2I2", start, at)
  local tag, vr, length, first = group << 16 | number, start:sub(at + 4, at + 5), nil, at + 8
  if not explicit then
    length = string.unpack("<I4", start, at + 4)
  elseif SHORT[vr] then
    length = string.unpack(order .. "I2", start, at + 6)
  elseif LONG[vr] and #start >= at + 11 then
    length, first = string.unpack(order .. "I4", start, at + 8)
  else
    return nil
  end
  return length % 2 == 0 and tag or nil, first + length
end

-- Whether the bytes begin as elements do: of group 2 or 8, ascending, none longer than what comes there.
local function stream(start, order, explicit)
  local at, before, count = 1, 0, 0
  while at and at + 7 <= #start do
    local tag, next = element(start, at, order, explicit)
    if not tag or tag <= before and before > 0 or (count == 0 and tag >> 16 ~= 2 and tag >> 16 ~= 8) then
      return false
    end
    if next - at > 4096 then return count > 0 end
    at, before, count = next, tag, count + 1
  end
  return count > 0
end

--- Whether a file's first bytes are those of a DICOM file.
function recognise.bytes(start)
  return start:sub(PREAMBLE + 1, PREAMBLE + 4) == "DICM" or stream(start, "<", true) or stream(start, "<", false)
    or stream(start, ">", true)
end

--- The same of a file; false of what is none, or cannot be read.
function recognise.file(path)
  local kind = select(2, sys.identity(path))
  if kind ~= "file" then return false end
  local ok, start = pcall(sys.read_start, path, LOOKED_AT)
  return ok and recognise.bytes(start)
end

--- The names of a folder's DICOM files, in byte order, and how many other files it has. Folders in it are not looked
-- into.
function recognise.folder(path)
  local names, others = {}, 0
  for _, name in ipairs(sys.list(path)) do
    if recognise.file(path .. "/" .. name) then names[#names + 1] = name
    elseif not sys.isdir(path .. "/" .. name) then others = others + 1 end
  end
  return names, others
end

return recognise
