-- SPDX-License-Identifier: Apache-2.0
--- The image encoders: one file each in lua/networks/encoders/, found by looking there. A dialect names one. An encoder
-- is a table:
--   sizes                 names of the sizes that a file tells of it (networks/sizes.lua), beside networks/sam.lua's
--   counts(keys)          how often its repeated parts occur in a file's names: a table, each at least 1; they are
--                         fields of the network n (networks/sam.lua)
--   declare(p, n)         declares its tensors and returns its parameters
--   describe(file)        what a file's shapes and the options tell. file = { path, dialect, traits, entries, value,
--                         counts, options, spell }: import/import.lua. Gives
--                           encoder     its part of the model description: what its other functions need
--                           patch       pixels a side of a token of the embedding
--                           size, grid  pixels and tokens a side in the build; nil where the user has to tell
--                           file_grid   the grid that the file was trained at, or nil where nothing tells
--                           choices     what only the user can tell: { option =, values =, why = }
--                         and what its warnings need
--   warnings(warn, about) what a person should know, by warn(format, ...). about = { dialect, model, entries, place =
--                         what describe gave, base = is there one, told = the user's options }
--   adapt(model, entries) marks what is left to do to tensors: entry.resize = { kind, from, to }; entry.zero
--   prune(model, models)  what a build of these banks does without: { { layer, what, tensors = SAM's names, macs } }
--   compute(t, e)         the embedding [slices,grid,grid,out] of the image, as a graph (networks/terms.lua)
--   parts                 what compute is put together of, where pre-training can do so in other ways: patches(t, e,
--                         name) before positions, positions(t, e), blocks(t, e, x, how), block(t, b, label, i, x, how)
--   spoken(encoder, out)  the encoder in words, for `inspect`
--   words                 { words, field } of the description's fields, in which banks of one build have to agree
--   facts(encoder)        its numbers by name, for manifests and `inspect --json`
--   architectures         { name = its shape }, those that `synth` makes
--   synthetic(shape, dialect) counts, sizes and what else n has, of a file that `synth` makes

local closed = require "support.closed"
local folder = require "support.folder"
local schema = require "support.schema"

local encoders = {}

local does = schema.kind(function(value)
  if type(value) ~= "function" then return "a function" end
end)

local FIELDS = { sizes = { schema.list_of(schema.text, 0), true }, words = { schema.table, true },
  architectures = { schema.table }, parts = { schema.table }, synthetic = { does } }
for _, name in ipairs { "counts", "declare", "describe", "warnings", "adapt", "prune", "compute", "spoken", "facts" } do
  FIELDS[name] = { does, true }
end

encoders.names = folder.modules "networks.encoders"

local known = {}

--- The encoder of a name. @param where what a refusal begins with
function encoders.named(name, where)
  closed.member(name, encoders.names, where)
  if not known[name] then
    local one = require("networks.encoders." .. name)
    schema.check(one, FIELDS, ("lua/networks/encoders/%s.lua"):format(name))
    known[name] = one
  end
  return known[name]
end

return encoders
