-- SPDX-License-Identifier: Apache-2.0
--- What `parts` of a folder's manifest must be, held against its blob and the fates of the checkpoint's tensors.

local json = require "msagen.json"
local reference = require "msagen.reference"
local sys = require "msagen.sys"

local parts = {}

local KNOWN = { role = true, tensors = true, segment = true, offset = true, bytes = true, crc32c = true, layout = true,
  shape = true, stride = true, ["function"] = true, bank = true, text_prompts = true }

-- Bytes that a part of its layout and shape takes.
local function bytes_of(part)
  local shape = part.shape
  if part.layout == "panels" then return (shape[2] + 15) // 16 * 64 * shape[1] end
  if part.layout == "rows" then return shape[1] * part.stride * 4 end
  assert(part.layout == "vector" and #shape == 1, part.role .. ": layout " .. tostring(part.layout))
  return (shape[1] + 15) // 16 * 64
end

-- Parts follow each other in their segments; between two, and behind the last, are less than 64 bytes, all zero.
local function check_places(manifest, blob)
  local segment, last, at = 0, nil, nil
  local function padding(to)
    assert(to - at >= 0 and to - at < 64, ("%s: %d bytes of no part before %d"):format(last.name, to - at, to))
    assert(not blob:find("[^\0]", at + 1) or blob:find("[^\0]", at + 1) > to, last.name .. ": padding that is not zero")
  end
  for _, part in ipairs(manifest.parts) do
    local where = ("%s of %s"):format(part.role, part.segment)
    if not last or part.segment ~= last.name then
      if last then padding(last.offset + last.bytes) end
      segment = segment + 1
      last = manifest.segments[segment]
      local next_one = last and last.name == part.segment and last.offset == part.offset
      assert(next_one, where .. ": not at the start of the next segment")
      at = last.offset
    end
    padding(part.offset)
    assert(part.offset % 64 == 0 and part.bytes == bytes_of(part), where .. ": bytes of another shape")
    at = part.offset + part.bytes
    local crc = ("%08x"):format(reference.crc32c(0, blob:sub(part.offset + 1, at)))
    assert(part.crc32c == crc, ("%s: CRC-32C %s, the file's bytes have %s"):format(where, part.crc32c, crc))
  end
  padding(last.offset + last.bytes)
  assert(segment == #manifest.segments and last.offset + last.bytes == #blob, "a segment has no parts")
end

-- Names of the tensors of a list of fates: those that the build computes with, and those that it does not.
local function sorted_fates(tensors)
  local live, dead = {}, {}
  for _, one in ipairs(tensors) do
    if one.fate == "dead" then dead[one.name] = true else live[one.name] = true end
  end
  return live, dead
end

-- Every tensor of a bank's file that is of use is in a part of that bank or in one that all share, and no
-- other tensor is.
-- @param bank name, or nil where there is one model
local function check_tensors(manifest, tensors, bank)
  local live, dead = sorted_fates(tensors)
  local named = {}
  for _, part in ipairs(manifest.parts) do
    for _, name in ipairs((part.bank == nil or part.bank == bank) and part.tensors or {}) do
      named[name] = true
      local why = dead[name] and "dead" or "of no file"
      assert(live[name], ("%s of %s: %s is %s"):format(part.role, part.segment, name, why))
    end
  end
  for _, one in ipairs(manifest.pruned) do
    for _, name in ipairs(one.tensors) do
      assert(not live[name] or not named[name], name .. ": pruned, and in a part")
      named[name] = true
    end
  end
  for name in pairs(live) do assert(named[name], name .. ": in no part") end
end

--- Check a generated folder. @return its manifest
function parts.check(folder)
  local manifest = json.decode(sys.read_file(folder .. "/manifest.json"), "manifest.json")
  local blob = sys.read_file(("%s/%s"):format(folder, manifest.weights))
  local layers, banks = {}, {}
  for _, layer in ipairs(manifest.layers) do layers[layer.name] = layer end
  for _, bank in ipairs(manifest.banks) do banks[bank.name] = bank end
  for _, part in ipairs(manifest.parts) do
    for field in pairs(part) do assert(KNOWN[field], field) end
    local reader, tables = part["function"], part.segment == "position" or part.segment == "prompt"
    local known = tables and reader == nil or layers[reader] and reader == part.segment
    assert(known, part.segment .. ": function " .. tostring(reader))
    assert(part.bank == nil or #manifest.banks > 1 and banks[part.bank], part.role .. ": of an unknown bank")
  end
  check_places(manifest, blob)
  if #manifest.banks < 2 then check_tensors(manifest, manifest.tensors) end
  for i = 1, #manifest.banks > 1 and #manifest.banks or 0 do
    check_tensors(manifest, manifest.banks[i].tensors, manifest.banks[i].name)
  end
  return manifest
end

return parts
