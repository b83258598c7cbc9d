-- SPDX-License-Identifier: Apache-2.0
-- Small models of every dialect for tests of training: checkpoints as synth makes them, pictures, prompts.

local dialects, import, synth = require "import.dialects", require "import.import", require "networks.synth"
local checkpoint, sys, tensor = require "msagen.checkpoint", require "msagen.sys", require "msagen.tensor"

local models = {}

models.VIT = { resolution = 48, patch = 8, dim = 64, blocks = 2, heads = 1, global = { 1 }, window = 4, out = 32,
  decoder_mlp = 20, masks = 4 }
models.TINY = { widths = { 16, 16, 32, 32 }, depths = { 1, 1, 1, 1 }, heads = { 1, 1, 2, 2 },
  windows = { 7, 7, 14, 7 }, out = 32, decoder_mlp = 64, resolution = 64, masks = 4 }

--- The file of a dialect in a folder, written where it is not there. @return its path, and the shape
function models.file(folder, dialect)
  local path = ("%s/%s.safetensors"):format(folder, dialect)
  local shape = dialects.named(dialect).encoder == "tinyvit" and models.TINY or models.VIT
  if not sys.exists(path) then require "msagen.synth".write(path, synth.tensors(shape, dialect), 7) end
  return path, shape
end

--- The model of a dialect. @param options further ones of import.load, or nil
function models.of(folder, dialect, options)
  local path, shape = models.file(folder, dialect)
  local all = { dialect = dialect, resolution = not dialect:find "^msa%-2023" and shape.resolution or nil }
  for key, value in pairs(options or {}) do all[key] = value end
  return import.load(checkpoint.open(path), all)
end

--- A picture of a model, or a volume. @param number another one for each
function models.picture(model, number)
  local bytes, side = {}, model.image_size
  for i = 0, model.depth * side * side * 3 - 1 do
    bytes[i + 1] = string.char((i * 37 + i // 97 * 11 + (number or 0) * (i // 53) * 29) % 256)
  end
  return tensor.frombytes(table.concat(bytes), "u8", { model.depth, side, side, 3 })
end

--- A target of 0 and 1 of so many pixels a side.
function models.target(side, number)
  local values = {}
  for i = 0, side * side - 1 do
    values[i + 1] = (i % side + i // side + (number or 0)) % 5 < 2 and "\1" or "\0"
  end
  return tensor.frombytes(table.concat(values), "u8", { 1, side, side })
end

return models
