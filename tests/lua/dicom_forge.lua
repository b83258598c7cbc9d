-- SPDX-License-Identifier: Apache-2.0
-- Writes DICOM files for tests, right ones and wrong ones: explicit VR, little endian, but where said.

local forge = {}

local LONG = { OB = true, OW = true, OF = true, OD = true, OV = true, SQ = true, UN = true, UT = true }
local PACK = { US = "<I2", SS = "<i2", UL = "<I4", FD = "<d", FL = "<f" }

-- What an element's value is as bytes: a text, numbers, or items.
local function bytes_of(vr, value)
  if vr == "SQ" then
    local items = {}
    for i, item in ipairs(value) do
      local body = forge.elements(item)
      items[i] = "\xFE\xFF\x00\xE0" .. string.pack("<I4", #body) .. body
    end
    return table.concat(items)
  end
  if PACK[vr] then
    if type(value) ~= "table" then value = { value } end
    local packed = {}
    for i, v in ipairs(value) do packed[i] = PACK[vr]:pack(v) end
    return table.concat(packed)
  end
  value = type(value) == "table" and table.concat(value, "\\") or tostring(value)
  return #value % 2 == 0 and value or value .. (vr == "UI" and "\0" or (LONG[vr] and "\0" or " "))
end

--- The bytes of elements { { group, number, vr, value }... }, which are put in ascending order.
function forge.elements(list, implicit)
  local sorted, out = table.move(list, 1, #list, 1, {}), {}
  table.sort(sorted, function(a, b) return (a[1] << 16 | a[2]) < (b[1] << 16 | b[2]) end)
  for i, e in ipairs(sorted) do
    local value = bytes_of(e[3], e[4])
    local tag, length = string.pack("<I2I2", e[1], e[2]), e.length or #value
    if implicit then out[i] = tag .. string.pack("<I4", length) .. value
    elseif LONG[e[3]] then out[i] = tag .. e[3] .. "\0\0" .. string.pack("<I4", length) .. value
    else out[i] = tag .. e[3] .. string.pack("<I2", length) .. value end
  end
  return table.concat(out)
end

--- The value of PixelData that has fragments, with a table of offsets or nil.
function forge.fragments(list, offsets)
  local out = { "\xFE\xFF\x00\xE0", string.pack("<I4", offsets and 4 * #offsets or 0) }
  for _, offset in ipairs(offsets or {}) do out[#out + 1] = string.pack("<I4", offset) end
  for _, fragment in ipairs(list) do
    if #fragment % 2 == 1 then fragment = fragment .. "\0" end
    out[#out + 1] = "\xFE\xFF\x00\xE0" .. string.pack("<I4", #fragment) .. fragment
  end
  return table.concat(out) .. "\xFE\xFF\xDD\xE0\0\0\0\0"
end

--- RLE of a frame's planes of bytes, each as one literal run after the other.
function forge.rle(planes)
  local segments, offsets, at = {}, {}, 64
  for i, plane in ipairs(planes) do
    local runs = plane:gsub(("."):rep(128), "\127%0")
    local rest = #plane % 128
    if rest > 0 then runs = runs:sub(1, -rest - 1) .. string.char(rest - 1) .. runs:sub(-rest) end
    if #runs % 2 == 1 then runs = runs .. "\0" end
    segments[i], offsets[i], at = runs, at, at + #runs
  end
  local head = string.pack("<I4", #planes)
  for i = 1, 15 do head = head .. string.pack("<I4", offsets[i] or 0) end
  return head .. table.concat(segments)
end

forge.EXPLICIT, forge.RLE, forge.IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2"

--- A file. @param elements of its data set  @param options { syntax =, bare = true: without preamble and meta group }
function forge.file(elements, options)
  options = options or {}
  local syntax = options.syntax or forge.EXPLICIT
  local body = forge.elements(elements, syntax == forge.IMPLICIT)
  if options.bare then return body end
  local meta = forge.elements { { 2, 1, "OB", "\0\1" }, { 2, 2, "UI", "1.2.840.10008.5.1.4.1.1.7" },
    { 2, 3, "UI", "1.2.3" }, { 2, 16, "UI", syntax }, { 2, 18, "UI", "1.2.3.4" } }
  return ("\0"):rep(128) .. "DICM" .. forge.elements { { 2, 0, "UL", #meta } } .. meta .. body
end

--- The elements of a picture of 2 rows and 3 columns of 16 bits; those given replace or join them.
-- false takes one away.
-- @param changes { [group << 16 | number] = { vr, value } or false }
function forge.picture(changes)
  local all = { [0x00080016] = { "UI", "1.2.840.10008.5.1.4.1.1.7" }, [0x00080060] = { "CS", "OT" },
    [0x0020000E] = { "UI", "1.2.3.5" }, [0x00280002] = { "US", 1 }, [0x00280004] = { "CS", "MONOCHROME2" },
    [0x00280010] = { "US", 2 }, [0x00280011] = { "US", 3 }, [0x00280100] = { "US", 16 }, [0x00280101] = { "US", 16 },
    [0x00280102] = { "US", 15 }, [0x00280103] = { "US", 0 },
    [0x7FE00010] = { "OW", string.pack("<I2I2I2I2I2I2", 0, 1, 2, 300, 4, 65535) } }
  for tag, change in pairs(changes or {}) do all[tag] = change or nil end
  local list = {}
  for tag, e in pairs(all) do list[#list + 1] = { tag >> 16, tag & 0xFFFF, e[1], e[2], length = e.length } end
  return list
end

return forge
