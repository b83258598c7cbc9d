-- SPDX-License-Identifier: Apache-2.0
--- Text prompts of training: CLIP's embeddings of phrases, from a file that msagen embed wrote, and the projection to
-- the width of the network's tokens that is trained with it. A prompt is one token, P e / |e|: no bias, no type
-- embedding; CLIP stays as it is.
local closed = require "support.closed"
local embedding = require "text.embedding"
local fail = require "support.fail"
local names = require "import.names"
local random = require "msagen.random"
local shapes = require "import.shapes"
local text = require "import.text"
local uses = require "train.uses"

local texts = {}

local FLOATING = { f32 = true, f64 = true, f16 = true, bf16 = true }

-- The matrix of embeddings: what is called so, or the only tensor.
local function matrix_of(path, ckpt, count)
  local list = ckpt:names()
  if not ckpt:has "embeddings" and #list ~= 1 then
    fail("%s: expected a tensor named embeddings, as msagen embed writes, or one alone, found %d tensors", path, #list)
  end
  local matrix = ckpt:tensor(ckpt:has "embeddings" and "embeddings" or list[1])
  local shape = matrix.shape
  if not FLOATING[matrix.dtype] or #shape ~= 2 or shape[1] ~= count or shape[2] < 1 then
    fail("%s: %s: expected f32, f64, f16 or bf16 [%d,E], a row for each name, found %s %s", path,
      names.show(matrix.name), count, matrix.dtype, shapes.text(shape))
  end
  return matrix
end

local function check_row(path, matrix, row, name)
  local finite = row:finite()
  if not finite or row:is_zero() then
    fail("%s: %s: row of %s: expected finite numbers that are not all 0, found %s", path, names.show(matrix.name),
      names.show(name), finite and "zeros" or "others")
  end
end

local Texts = {}
Texts.__index = Texts

--- The unit vector of a phrase, f32 [E]: in double, rounded once. @param where what a refusal begins with
function Texts:vector(name, where)
  local row = self.rows[closed.member(name, self.names, where)]
  return self.units:slice(1, row - 1, 1):reshape { self.width }
end

--- The embeddings of a .safetensors file.
-- @param open opens a checkpoint, in the place of msagen.checkpoint's
-- @return { names = list, width = E, units = f32 [n,E], each row of length 1 }, with vector(name, where)
function texts.read(path, open)
  local ckpt = (open or require "msagen.checkpoint".open)(path)
  if ckpt.format ~= "safetensors" then
    fail("%s: expected a .safetensors file of text embeddings, found %s", path, ckpt.format)
  end
  local list, rows = text.read_names(path, ckpt.metadata), {}
  text.check_names(path, list, "__metadata__: names")
  local matrix = matrix_of(path, ckpt, #list)
  for i, name in ipairs(list) do
    check_row(path, matrix, matrix:slice(1, i - 1, 1), name)
    rows[name] = i
  end
  return setmetatable({ names = list, rows = rows, width = matrix.shape[2],
    units = embedding.prompts(matrix):scale(1) }, Texts)
end

--- What the projection starts with: f32 [width,E], normal, of variance 1/2, so that prompts are as long as points'
-- Fourier features, sqrt(width / 2) about.
function texts.projection(seed, width, of)
  return random.normals(uses.key({ seed = seed, step = 0, image = 0 }, "projection"), { width, of }, math.sqrt(0.5))
end

return texts
