-- SPDX-License-Identifier: Apache-2.0
--- The weights of two folders: which parts of the blob differ, and which tensors of the checkpoints these were made of.
local closed = require "support.closed"
local texts = require "change.texts"

local weights = {}

-- Parts by what they are for; of one segment and role there is one for each bank.
local function named_parts(manifest)
  local list = {}
  for i, part in ipairs(manifest.parts or {}) do
    list[i] = { name = table.concat({ part.segment, part.role, part.bank }, " "), part = part }
  end
  return list
end

local function differs(a, b)
  local x, y = a.part, b.part
  return x.crc32c ~= y.crc32c or x.bytes ~= y.bytes or x.layout ~= y.layout
end

-- A part as the answer has it.
local function told(one)
  return one and { offset = one.part.offset, bytes = one.part.bytes, crc32c = one.part.crc32c,
    layout = one.part.layout }
end

local function part_of(old, new)
  local part = (new or old).part
  local sources = table.move(part.tensors, 1, #part.tensors, 1, {})
  table.move(part.text_prompts or {}, 1, #(part.text_prompts or {}), #sources + 1, sources)
  return { segment = part.segment, role = part.role, bank = part.bank, ["function"] = part["function"],
    tensors = sources, old = told(old), new = told(new) }
end

-- Tensors of all checkpoints of a folder as named things; of banks each has its own.
local function named_tensors(manifest)
  local list = {}
  local function add(tensors, bank)
    for _, one in ipairs(tensors or {}) do
      list[#list + 1] = { name = bank and ("%s: %s"):format(bank, one.name) or one.name, tensor = one }
    end
  end
  if #(manifest.banks or {}) == 0 then add(manifest.tensors) end
  for _, bank in ipairs(manifest.banks or {}) do add(bank.tensors, bank.name) end
  return list
end

local function shape_of(tensor) return ("[%s]"):format(table.concat(tensor.shape, ",")) end

local function fate_of(one) return ("%s %s"):format(one.tensor.fate, shape_of(one.tensor)) end

-- Names of the tensors of which parts were made.
local function sources(found)
  local set = {}
  for _, kind in ipairs { "changed", "added", "removed" } do
    for _, part in ipairs(found[kind]) do
      for _, name in ipairs(part.tensors) do set[name] = true end
    end
  end
  return closed.sorted(set)
end

--- Compare the weights of two folders of change.folder.
-- @return { equal = whether the blobs are; old, new = { bytes, sha256 or nil }; parts = { same = count; changed, added,
-- removed = lists of { segment, role, bank, function, tensors, old, new = { offset, bytes, crc32c, layout } } };
-- tensors = { touched = names that parts which differ were made of; added, removed = names; changed = list of { name,
-- old, new = fate and shape } } }
function weights.compare(old, new)
  local found, before, after = texts.paired(named_parts(old.manifest), named_parts(new.manifest), differs)
  local parts = { same = found.same }
  for _, kind in ipairs { "changed", "added", "removed" } do
    parts[kind] = {}
    for i, key in ipairs(found[kind]) do parts[kind][i] = part_of(before[key], after[key]) end
  end
  local fates, mine, theirs = texts.paired(named_tensors(old.manifest), named_tensors(new.manifest), function(a, b)
    return fate_of(a) ~= fate_of(b)
  end)
  local changed = {}
  for i, key in ipairs(fates.changed) do
    changed[i] = { name = key, old = fate_of(mine[key]), new = fate_of(theirs[key]) }
  end
  return { equal = old.weights_sha256 ~= nil and old.weights_sha256 == new.weights_sha256,
    old = { bytes = old.manifest.weights_bytes, sha256 = old.weights_sha256 },
    new = { bytes = new.manifest.weights_bytes, sha256 = new.weights_sha256 }, parts = parts,
    tensors = { touched = sources(parts), added = fates.added, removed = fates.removed, changed = changed } }
end

return weights
