-- SPDX-License-Identifier: Apache-2.0
--- A device's options as the manifest keeps them, and a device made of them again: what a build was asked for, beside
-- its files, which the manifest names by their hashes.
local fail = require "support.fail"
local options = require "compiler.options"

local recorded = {}

-- What the manifest tells elsewhere, whether it was asked for or not.
local ELSEWHERE = { name = true, board = true, banks = true, frontend = true, prefix = true, dialect = true,
  resolution = true, depth = true, cores = true, precision = true, layer_precision = true, prepare = true }

--- The options that a device gives beside what the manifest has of every build. @return field -> value, as JSON has it
function recorded.of(device)
  local kept = {}
  for _, one in ipairs(options.list) do
    if not one.path and not one.training and not ELSEWHERE[one.field] then kept[one.field] = device[one.field] end
  end
  return kept
end

--- The device of a build again, from its one checkpoint; another one is refused. @param manifest of run.folder's
-- @param where what refusals begin with
function recorded.device(manifest, checkpoint, where)
  if type(manifest.device) ~= "table" then
    fail("%s: expected a folder that this version of msagen built, found another's: build it again", manifest.path)
  end
  if #manifest.banks > 0 or #manifest.texts > 0 then
    fail("%s %s: expected a build of one checkpoint without text prompts, found %s", where, checkpoint,
      #manifest.banks > 0 and "banks" or "text prompts")
  end
  local wanted = manifest.checkpoint.sha256
  local found = require("import.shards").open(checkpoint, manifest.device.weights_key):sha256()
  if found ~= wanted then
    fail("%s %s: expected the checkpoint that %s was built from, of SHA-256 %s, found %s", where, checkpoint,
      manifest.path, wanted, found)
  end
  local device = { checkpoint = checkpoint, dialect = manifest.checkpoint.dialect, resolution = manifest.input_size,
    depth = manifest.depth, precision = manifest.precision, layer_precision = manifest.layer_precision,
    prepare = manifest.prepare }
  for field, value in pairs(manifest.device) do device[field] = value end
  return device
end

return recorded
