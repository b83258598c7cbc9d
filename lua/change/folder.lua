-- SPDX-License-Identifier: Apache-2.0
--- One side of a comparison: a folder that `msagen build` wrote, never compiled, its files as they are now.
local fail = require "support.fail"
local folders = require "run.folder"
local made = require "run.made"
local schema = require "support.schema"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local kind, list_of = schema.kind, schema.list_of

local hash = kind(function(value)
  if type(value) ~= "string" or #value ~= 64 or value:find "%X" then return "a SHA-256" end
end)
local crc = kind(function(value)
  if type(value) ~= "string" or #value ~= 8 or value:find "%X" then return "8 hexadecimal digits" end
end)
local text = kind(function(value)
  if type(value) ~= "string" then return "a text" end
end)
local count = schema.whole(0, math.maxinteger)
local texts = list_of(text, 0)

-- A list's members as tables with these fields; others may be there, too.
local function records(fields, what)
  return list_of(kind(function(value)
    if type(value) ~= "table" then return "tables" end
    for name, one in pairs(fields) do
      if (value[name] ~= nil or one[2]) and one[1](value[name]) then return ("%s with %s"):format(what, name) end
    end
  end), 0, what)
end

local fate = { name = { text, true }, fate = { text, true }, shape = { list_of(count, 0, "sizes"), true } }

--- Fields of manifests that a comparison reads, beside those that every verb does (run/manifest.lua).
local FIELDS = {
  checkpoint = { schema.record { sha256 = { hash, true }, base_sha256 = { hash }, format = { text },
    dialect = { text } } },
  device = { schema.table }, build = { hash }, model_hash = { hash }, weights_sha256 = { hash, true },
  weights_bytes = { count, true }, arena_bytes = { count, true }, macs = { count }, macs_encode = { count },
  macs_decode = { count }, version = { text }, board = { text }, prefix = { kind(function(value)
    if type(value) ~= "string" or not value:match "^%a[%w_]*$" then return "a C identifier" end
  end) },
  weights = { kind(function(value)
    if type(value) ~= "string" or made.base(value) ~= value then return "a file of the folder" end
  end), true },
  files = { schema.table, true }, texts = { texts }, layers = { list_of(schema.table, 0, "tables") },
  steps = { list_of(schema.table, 0, "tables") },
  banks = { records({ name = { text, true }, sha256 = { hash }, tensors = { records(fate, "tensors") } }, "banks") },
  tensors = { records(fate, "tensors") },
  parts = { records({ role = { text, true }, segment = { text, true }, offset = { count, true },
    bytes = { count, true }, crc32c = { crc, true }, tensors = { texts, true }, text_prompts = { texts },
    layout = { text }, bank = { text }, ["function"] = { text } }, "parts") },
}

-- A value of JSON without the nulls of its objects.
local function plain(value)
  if type(value) ~= "table" then return value end
  local json, copy = require "msagen.json", {}
  local list = json.is_array(value)
  for key, member in pairs(value) do
    if member ~= json.null or list then copy[key] = plain(member) end
  end
  return list and json.array(copy) or copy
end

local folder = {}
folder.__index = folder

--- The kinds of folders, by manifest.kind.
folder.kinds = { network = "a network that segments", ["front end"] = "a front end", training = "a training step" }

--- Open a folder. @return { path, manifest, kind, hashes = name -> SHA-256 as it is now; changed = names, in order, of
-- what is not as msagen wrote it }
function folder.open(path)
  local read, sealed = folders.read(path)
  local manifest = plain(read)
  local self = setmetatable({ path = path, manifest = manifest, kind = manifest.kind or "network" }, folder)
  if not folder.kinds[self.kind] then
    fail("%s: kind: expected training, front end or none, found %s", path, schema.shown(manifest.kind))
  end
  if self.kind ~= "training" then folders.open(path, true) end
  schema.check_known(manifest, FIELDS, path .. "/manifest.json")
  if self.kind ~= "front end" and not manifest.checkpoint then
    fail("%s/manifest.json: checkpoint: expected a table, found none", path)
  end
  manifest.prefix = manifest.prefix or "msa"
  local view = { files = manifest.files, file = function(_, name) return path .. "/" .. name end,
    weights = manifest.weights }
  self.hashes, self.changed = made.hashes(view)
  self.weights_sha256 = sha256.file(path .. "/" .. manifest.weights)
  if self.weights_sha256 ~= manifest.weights_sha256 then self.changed[#self.changed + 1] = manifest.weights end
  -- A manifest without its hash is of nobody who could be asked.
  local told = sealed:find '"manifest_sha256":%s*"%x+"'
  if not told or require("emit.manifest_seal").broken(sealed) then self.changed[#self.changed + 1] = "manifest.json" end
  return self
end

--- The text of a file as it is now, or nil where there is none.
function folder:text(name)
  return self.hashes[name] and sys.read_file(self.path .. "/" .. name) or nil
end

--- Whether a file is of the test bench: no product links it.
function folder.benched(name) return name:find("^" .. made.RUNNER_FOLDER .. "/") ~= nil end

return folder
