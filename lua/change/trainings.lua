-- SPDX-License-Identifier: Apache-2.0
--- Two files that `msagen train` or `msagen pretrain` wrote: what they were made of (data, base, options, seed), and
-- what came of it. The metadata is what the file itself says (docs/training.md).
local closed = require "support.closed"
local fail = require "support.fail"
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"
local texts = require "change.texts"

local trainings = {}

local GENERATORS = { ["msagen train"] = true, ["msagen pretrain"] = true }

-- What the result follows from, by keys of the metadata.
local INPUTS = { "generator", "version", "dialect", "base_sha256", "data_sha256", "arithmetic", "seed", "step" }
local RESULTS = { script_sha256 = true, training_digest = true, options = true, format = true }

local function options_of(file, path)
  local read, options = pcall(json.decode, file.metadata.options or "{}", path)
  if not read or type(options) ~= "table" then
    fail("%s: options: expected a JSON object in the metadata, found another text", path)
  end
  local said = {}
  for key, value in pairs(options) do said[tostring(key)] = type(value) == "string" and value or json.encode(value) end
  return said
end

-- The last row of the CSV beside a file, and the last with a validation: column -> text; nil where there is none.
local function curve_of(path)
  local csv = path:gsub("%.safetensors$", ""):gsub("%.best$", "") .. ".csv"
  if sys.isdir(csv) or not sha256.file(csv) then return nil end
  local rows = require("evaluate.csv").rows(sys.read_file(csv), csv)
  local columns, last, measured = rows[1] or {}, nil, nil
  if columns[1] ~= "step" or #rows < 2 then return nil end
  for i = 2, #rows do
    local row = {}
    for k, column in ipairs(columns) do
      if rows[i][k] ~= "" then row[column] = rows[i][k] end
    end
    last = row
    for column in pairs(row) do
      if column:find "^dice_" then measured = row end
    end
  end
  return { last = last, validation = measured }
end

--- Open a file. @return { path, file = the checkpoint, metadata, options, curve, sha256 }
function trainings.open(path)
  local file = require("msagen.checkpoint").open(path)
  local metadata = file.metadata or {}
  if not GENERATORS[metadata.generator or ""] then
    fail("%s: expected a file that msagen train wrote, found one whose metadata names no such program", path)
  end
  return { path = path, file = file, metadata = metadata, options = options_of(file, path), curve = curve_of(path),
    sha256 = file:sha256() }
end

-- Two tables of texts: { what, old, new } of each name whose texts differ.
local function differing(old, new, names, list)
  for _, name in ipairs(names) do
    if old[name] ~= new[name] then list[#list + 1] = { what = name, old = old[name], new = new[name] } end
  end
  return list
end

local function keys_of(old, new, without)
  local set = {}
  for _, one in ipairs { old, new } do
    for key in pairs(one) do set[key] = not (without and without[key]) or nil end
  end
  return closed.sorted(set)
end

-- The tensors of two files, by their bytes.
local function tensors_of(old, new)
  local lists = {}
  for i, side in ipairs { old, new } do
    lists[i] = {}
    for k, name in ipairs(side.file:names()) do lists[i][k] = { name = name, tensor = side.file:tensor(name) } end
  end
  local found = texts.paired(lists[1], lists[2], function(a, b)
    local x, y = a.tensor, b.tensor
    return x.dtype ~= y.dtype or table.concat(x.shape, ",") ~= table.concat(y.shape, ",")
      or sha256.hex(x:tobytes()) ~= sha256.hex(y:tobytes())
  end)
  return { added = found.added, removed = found.removed, changed = found.changed, same = found.same }
end

-- What a script says besides its options changes nothing.
local function verdict(made)
  if made.old.sha256 == made.new.sha256 then return "identical" end
  if #made.inputs + #made.options > 0 then return "other training" end
  local tensors = made.tensors
  return #tensors.changed + #tensors.added + #tensors.removed == 0 and "same weights" or "other weights"
end

--- Compare two files of trainings.open.
-- @return { kind = "training", verdict = "identical", "same weights" or "other weights" (of the same inputs) or "other
-- training"; inputs, options = lists of { what, old, new } that differ; script = { old, new }: hashes of the texts;
-- tensors = { same; added, removed, changed }; digest, curve = { old, new }; altered = whether tensors differ where
-- digests do not; old, new = { path, sha256 } }
function trainings.compare(old, new)
  local before, after, known = old.metadata, new.metadata, {}
  for _, name in ipairs(INPUTS) do known[name] = true end
  for name in pairs(RESULTS) do known[name] = true end
  local inputs = differing(before, after, INPUTS, {})
  differing(before, after, keys_of(before, after, known), inputs)
  local made = { kind = "training", inputs = inputs,
    options = differing(old.options, new.options, keys_of(old.options, new.options), {}),
    tensors = tensors_of(old, new), digest = { old = before.training_digest, new = after.training_digest },
    script = { old = before.script_sha256, new = after.script_sha256 },
    curve = { old = old.curve, new = new.curve }, old = { path = old.path, sha256 = old.sha256 },
    new = { path = new.path, sha256 = new.sha256 } }
  made.altered = #made.tensors.changed > 0 and made.digest.old ~= nil and made.digest.old == made.digest.new
  made.verdict = verdict(made)
  for _, side in ipairs { old, new } do side.file:unchanged() end
  return made
end

return trainings
