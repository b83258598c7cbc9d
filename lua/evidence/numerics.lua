-- SPDX-License-Identifier: Apache-2.0
--- The error of each layer against double precision, found by the interpreter, whose bits are the build's: all of the
-- network runs once as the build computes it and once in float64, the import of the checkpoint included.
local interpretation = require "run.interpretation"
local npy = require "msagen.npy"
local sys = require "msagen.sys"

local numerics = {}

-- What layers give, by label in order, where the network is computed in a class. @param keep function(label, matrix)
local function run(models, class, device, image, prompt, keep)
  interpretation.in_class(class, function()
    local model = models(device)
    local it = interpretation.of(model, class, function(op, y) keep(op.label, y) end, class ~= "float64" and device
      or nil)
    it:encode(image)
    local logits = it:decode(0, interpretation.prompt(prompt(model, image), 1, 4 * model.grid))
    keep("logits", logits)
  end)
end

-- The digest of a build's own embedding and logits, and its mask.
local function built(folder, image, given)
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

--- Whether a build gives the interpreter's digest of each image, run here, under the board's emulator where there is
-- one.
-- @param folder of run.folder, compiled @param it run.interpretation's of the build's class
-- @param images, prompt as for `of`
-- @return a list of { image, interpreter, build = digests, prompt, mask = u8 [depth,H,W], the build's }
function numerics.digests(folder, it, images, prompt, show)
  local list = {}
  for i, image in ipairs(images) do
    local given = prompt(it.model, image.tensor)
    local shape = image.tensor.shape
    require("run.prompts").check(given, shape[3], shape[2], shape[1], folder)
    show(image.name .. ": by the interpreter")
    local results = it:results({ given }, image.tensor, function() end)
    show(image.name .. ": by the build")
    list[i] = { image = image.name, prompt = given, interpreter = interpretation.digest(results) }
    list[i].build, list[i].mask = built(folder, image.tensor, given)
  end
  return list
end

--- @param models function(device) -> model, called once in each arithmetic
-- @param class of the build @param device of compiler.recorded
-- @param images list of { name, tensor = u8 [depth,H,W,3] } @param prompt function(model, image) -> prompt
-- @param show function(text) before each
-- @return a list in order of { layer, error = largest relative to the layer's largest value, rms, at = index of the
--   element, image = name }
function numerics.of(models, class, device, images, prompt, show)
  local list, by = {}, {}
  for _, image in ipairs(images) do
    local truth = {}
    show(image.name .. ": in float64")
    run(models, "float64", device, image.tensor, prompt, function(label, y)
      if label then truth[label] = y end
    end)
    local found, order = {}, {}
    show(image.name .. ": as the build computes it")
    run(models, class, device, image.tensor, prompt, function(label, y)
      if label and not found[label] then order[#order + 1] = label end
      if label then found[label] = y end
    end)
    for _, label in ipairs(order) do
      local most, scale, at = largest(found[label], truth[label])
      local error = scale > 0 and most / scale or most
      local one = by[label]
      if not one then
        one = { layer = label, error = -1 }
        by[label], list[#list + 1] = one, one
      end
      if error > one.error then
        one.error, one.at, one.image, one.rms = error, at - 1, image.name, truth[label]:relative_rms(found[label])
      end
    end
  end
  return list
end

return numerics
