-- SPDX-License-Identifier: Apache-2.0
-- Text prompts (--text-prompts): embeddings of phrases, computed beforehand, as rows of the width of the decoder's
-- tokens.
--
-- The file is a .safetensors with a matrix [n,E], or [n,t] and a projection [E,t] to apply here; the phrases are in its
-- __metadata__ under "names": a JSON array, or separated by newlines or commas. Beside a matrix that is called prompts,
-- msagen embed keeps the embeddings that it made them of, which are of no use here. A model that was trained with texts
-- has a projection of its own.

local fail = require "support.fail"
local names = require "import.names"
local shapes = require "import.shapes"

local text = {}

local floating = { f32 = true, f64 = true, f16 = true, bf16 = true }

local function separated(list, separator)
  local found = {}
  for one in (list .. separator):gmatch("(.-)" .. separator) do
    found[#found + 1] = one:match "^%s*(.-)%s*$"
  end
  if found[#found] == "" then found[#found] = nil end -- the end of the last line
  return found
end

--- The phrases of a file's metadata: a list of texts.
function text.read_names(path, metadata)
  local list = metadata.names
  if not list then
    local keys = {}
    for key in pairs(metadata) do keys[#keys + 1] = names.show(key) end
    table.sort(keys)
    fail("%s: __metadata__: expected the key names, with a name for each row, found %s", path, #keys > 0
      and table.concat(keys, ", ") or "none")
  end
  if not list:match "^%s*%[" then
    return separated(list, list:find("\n", 1, true) and "\n" or ",")
  end
  local json = require "msagen.json"
  local ok, found = pcall(json.decode, list, "names")
  if not ok then
    fail("%s: __metadata__: names: expected a JSON array of texts, found %s", path, type(found) == "table"
      and found.msagen or "none")
  end
  for i, name in ipairs(found) do
    if type(name) ~= "string" then
      fail("%s: __metadata__: names: expected a text, found %s at place %d", path, name == json.null and "null"
        or type(name), i)
    end
  end
  return found
end

--- Refuse phrases that cannot be names. @param where of a file, or the command line's, they are
function text.check_names(path, list, where)
  local places = {}
  for i, name in ipairs(list) do
    -- Control characters of ASCII and of Latin-1, and Unicode's separators of lines and paragraphs.
    if name == "" or not utf8.len(name) or name:find "[%c\127]" or name:find "\xC2[\x80-\x9F]"
      or name:find "\xE2\x80[\xA8\xA9]" then
      fail("%s: %s: expected printable names, found %s at place %d", path, where, name == ""
        and "an empty one" or names.show(name), i)
    end
    if places[name] then
      fail("%s: %s: expected each once, found %s at places %d and %d", path, where, names.show(name), places[name], i)
    end
    places[name] = i
  end
  if #list == 0 then fail("%s: %s: expected a name for each row, found none", path, where) end
end

local function described(tensor) return names.show(tensor.name) .. " " .. shapes.text(tensor.shape) end

-- The projection that a model trained with texts has, for a matrix of embeddings that has none beside it. Those are of
-- length 1 then, as in training.
local function of_model(path, model, matrix, count)
  local projection = model.projection
  local shape = matrix.shape
  if not projection or #shape ~= 2 or shape[1] ~= count or shape[2] ~= projection.shape[2] then return nil end
  if shape[2] == model.out then
    fail("%s: %s is %s; expected a projection beside it, or prompts that their width tells from embeddings, as the "
      .. "model projects embeddings of %d numbers to as many", path, names.show(matrix.name), shapes.text(shape),
      shape[2])
  end
  return require("text.embedding").prompts(matrix):scale(1):rename(matrix.name), projection
end

--- The matrix, and the projection if there is one.
local function read_tensors(path, ckpt, count, model)
  local width = model.out
  local list = {}
  for _, name in ipairs(ckpt:has "prompts" and ckpt:has "embeddings" and { "prompts" } or ckpt:names()) do
    local tensor = ckpt:tensor(name)
    if #list == 2 then
      fail("%s: expected a matrix [%d,%d], or [%d,t] and a projection [%d,t], found %d tensors", path, count, width,
        count, width, #ckpt:names())
    end
    list[#list + 1] = tensor
  end
  for _, tensor in ipairs(list) do
    if not floating[tensor.dtype] then
      fail("%s: %s is %s; expected f32, f64, f16 or bf16", path, names.show(tensor.name), tensor.dtype)
    end
  end

  if #list < 2 then
    local matrix = list[1]
    if not matrix then
      fail("%s: expected a matrix [%d,%d], or [%d,t] and a projection [%d,t], found no tensor", path, count, width,
        count, width)
    end
    local units, projection = of_model(path, model, matrix, count)
    if units then return units, projection end
    if #matrix.shape ~= 2 or matrix.shape[1] ~= count or matrix.shape[2] ~= width then
      fail("%s: %s is %s; expected [%d,%d], a row for each of the %d names and the model's width, or a projection "
        .. "[%d,t] beside it", path, names.show(matrix.name), shapes.text(matrix.shape), count, width, count, width)
    end
    return matrix
  end

  local function fits(matrix, projection)
    local m, p = matrix.shape, projection.shape
    return #m == 2 and #p == 2 and m[1] == count and p[1] == width and m[2] == p[2]
  end
  local a, b = list[1], list[2]
  local straight, crossed = fits(a, b), fits(b, a)
  if straight and crossed then -- as many names as the model is wide: only the tensors' own names can tell
    straight, crossed = b.name:lower():find "proj" ~= nil, a.name:lower():find "proj" ~= nil
    if straight == crossed then
      fail("%s: expected one of %s and %s to be named a projection, as shapes do not tell, found %s", path,
        described(a), described(b), straight and "both" or "neither")
    end
  end
  if not straight and not crossed then
    fail("%s: expected a matrix [%d,t], a row for each of the %d names, and a projection [%d,t] to the model's width, "
      .. "found %s and %s", path, count, count, width, described(a), described(b))
  end
  if straight then return a, b end
  return b, a
end

local function check_finite(path, tensor)
  local finite, at = tensor:finite()
  if finite then return end
  local width = tensor.shape[2]
  fail("%s: %s: expected finite values, found %s at [%d,%d]", path, names.show(tensor.name),
    tostring(tensor:get(at // width, at % width)), at // width, at % width)
end

--- The text prompts of a file for a model: {names = array, matrix = f32 [n, model.out], sources = names of the
-- tensors}. Fails with one line where it does not fit.
-- @param open opens a checkpoint, in the place of msagen.checkpoint's
function text.load(path, model, open)
  local ckpt = (open or require "msagen.checkpoint".open)(path)
  if ckpt.format ~= "safetensors" then
    fail("%s: expected a .safetensors file of text prompts, found %s", path, ckpt.format)
  end
  local list = text.read_names(path, ckpt.metadata)
  text.check_names(path, list, "__metadata__: names")
  local matrix, projection = read_tensors(path, ckpt, #list, model)
  check_finite(path, matrix)
  local rows
  if projection then
    check_finite(path, projection)
    rows = matrix:matmul(projection:transpose()):rename(matrix.name) -- sums in double, rounded once
    check_finite(path, rows)
  else
    rows = matrix:scale(1):rename(matrix.name)
    check_finite(path, rows)
  end
  return { names = list, matrix = rows, sources = { matrix.name, projection and projection.name } }
end

--- C identifiers of names, unique: upper case, _ for what is no letter or digit, _2 and so on behind one that is taken.
function text.identifiers(list)
  local taken, found = {}, {}
  for i, name in ipairs(list) do
    local stem = name:gsub("[^%w]", "_"):upper()
    local identifier, n = stem, 1
    while taken[identifier] do
      n = n + 1
      identifier = ("%s_%d"):format(stem, n)
    end
    taken[identifier], found[i] = true, identifier
  end
  return found
end

return text
