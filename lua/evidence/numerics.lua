-- SPDX-License-Identifier: Apache-2.0
--- The error of each layer against double precision, found by the interpreter, whose bits are the build's: all of the
-- network runs once as the build computes it and once in float64, the import of the checkpoint included.
local interpretation = require "run.interpretation"
local npy = require "msagen.npy"
local sys = require "msagen.sys"

local numerics = {}

-- What layers give where the network is computed in a class.
-- @param keep function(label, matrix, slice), in order; slice from 1, of the encoder's layers 0: they have all slices
-- @return { it = run.interpretation's, slices = by slice { prompt, embedding = its own, logits } }
local function run(models, class, device, image, prompt, keep)
  return interpretation.in_class(class, function()
    local model = models(device)
    local at, places, made = 0, model.grid * model.grid, {}
    local it = interpretation.of(model, class, function(op, y) keep(op.label, y, at) end, class ~= "float64" and device
      or nil)
    it:encode(image)
    local asked = prompt(model, image)
    for slice = 1, model.depth do
      at = slice
      local given = interpretation.prompt(asked, slice, 4 * model.grid)
      local logits = it:decode(slice - 1, given)
      keep("logits", logits, slice)
      made[slice] = { prompt = given, embedding = it.embedding:slice(1, (slice - 1) * places, places),
        logits = logits }
    end
    return { it = it, slices = made }
  end)
end

-- The digest of a build's own embedding and logits, and its mask.
local function result_of(folder, image, given)
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local files = { masks = { scratch .. "/mask.npy" }, iou = {}, embedding = scratch .. "/embedding.npy",
    logits = { scratch .. "/logits.npy" } }
  local ok, digest, mask = pcall(function()
    require("run.segment").perform({ folder = folder, image = image, prompts = { given }, files = files, quiet = true },
      scratch, function(text) return text end)
    return interpretation.digest { { "embedding", npy.read(files.embedding), true },
      { "logits", npy.read(files.logits[1]), true } }, npy.read(files.masks[1])
  end)
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(digest, 0) end
  return digest, mask
end

-- The largest difference and value of two matrices, and where it is.
local function largest(found, truth)
  local a, b, most, scale, at = found:totable(), truth:totable(), 0, 0, 1
  for i = 1, #b do
    local difference = math.abs(a[i] - b[i])
    if not (difference <= most) then most, at = difference, i end
    scale = math.max(scale, math.abs(b[i]))
  end
  return most, scale, at
end

--- The interpreter's digest of each image, in order. @param it run.interpretation's of the build's class
-- @param images, prompt = function(model, image) -> one that run.prompts has checked, show as for `of`
function numerics.interpreted(it, images, prompt, show)
  local list = {}
  for i, image in ipairs(images) do
    show(image.name .. ": by the interpreter")
    list[i] = interpretation.digest(it:results({ prompt(it.model, image.tensor) }, image.tensor, function() end))
  end
  return list
end

--- What a build gives of each image, in order, run here, under the board's emulator where there is one.
-- @param folder of run.folder, compiled @param model of it
-- @return a list of { digest, mask = u8 [depth,H,W], prompt }
function numerics.built(folder, model, images, prompt, show)
  local list = {}
  for i, image in ipairs(images) do
    show(("%s: by the build for %s"):format(image.name, folder.board))
    local given = prompt(model, image.tensor)
    local digest, mask = result_of(folder, image.tensor, given)
    list[i] = { digest = digest, mask = mask, prompt = given }
  end
  return list
end

-- Note what a layer gives, where it is worse than what was noted.
local function worse(one, found, truth, name)
  local most, scale, at = largest(found, truth)
  local error = scale > 0 and most / scale or most
  if error > one.error then
    one.error, one.at, one.image, one.rms = error, at - 1, name, truth:relative_rms(found)
  end
end

--- @param models function(device) -> model, called once in each arithmetic
-- @param class of the build @param device of compiler.recorded
-- @param images list of { name, tensor = u8 [depth,H,W,3] } @param prompt function(model, image) -> prompt
-- @param show function(text) before each
-- @return a list in order of { layer, error = largest relative to the layer's largest value, rms, at = index of the
--   element, image = name, of a volume with the decoder's slice }; and of each slice of each image { name, it =
--   run.interpretation's in float64, prompt, truth, found = { embedding, logits } in float64 and as the build computes
--   it }
function numerics.of(models, class, device, images, prompt, show)
  local list, by, runs = {}, {}, {}
  for _, image in ipairs(images) do
    local truth = {}
    show(image.name .. ": in float64")
    local exact = run(models, "float64", device, image.tensor, prompt, function(label, y, slice)
      if label then truth[("%d %s"):format(slice, label)] = y end
    end)
    local found, order = {}, {}
    show(image.name .. ": as the build computes it")
    local built = run(models, class, device, image.tensor, prompt, function(label, y, slice)
      local key = label and ("%d %s"):format(slice, label)
      if key and not found[key] then order[#order + 1] = { key = key, label = label, slice = slice } end
      if key then found[key] = y end
    end)
    local function named(slice)
      return slice > 0 and #exact.slices > 1 and ("%s, slice %d"):format(image.name, slice) or image.name
    end
    for slice, one in ipairs(exact.slices) do
      runs[#runs + 1] = { name = named(slice), it = exact.it, prompt = one.prompt, truth = one,
        found = built.slices[slice] }
    end
    for _, layer in ipairs(order) do
      local one = by[layer.label]
      if not one then
        one = { layer = layer.label, error = -1 }
        by[layer.label], list[#list + 1] = one, one
      end
      worse(one, found[layer.key], truth[layer.key], named(layer.slice))
    end
  end
  return list, runs
end

return numerics
