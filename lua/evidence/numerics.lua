-- SPDX-License-Identifier: Apache-2.0
--- The error of each layer against double precision, found by the interpreter, whose bits are the build's: all of the
-- network runs once as the build computes it and once in float64, the import of the checkpoint included.
local interpretation = require "run.interpretation"
local npy = require "msagen.npy"
local sys = require "msagen.sys"

local numerics = {}

-- What layers give, by label in order, where the network is computed in a class. @param keep function(label, matrix)
-- @return { it = run.interpretation's, prompt = of its slice, embedding, logits }
local function run(models, class, device, image, prompt, keep)
  return interpretation.in_class(class, function()
    local model = models(device)
    local it = interpretation.of(model, class, function(op, y) keep(op.label, y) end, class ~= "float64" and device
      or nil)
    it:encode(image)
    local given = interpretation.prompt(prompt(model, image), 1, 4 * model.grid)
    local logits = it:decode(0, given)
    keep("logits", logits)
    return { it = it, prompt = given, embedding = it.embedding, logits = logits }
  end)
end

-- The digest of a build's own embedding and logits.
local function built_digest(folder, image, given)
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evidence-")
  local files = { masks = {}, iou = {}, embedding = scratch .. "/embedding.npy",
    logits = { scratch .. "/logits.npy" } }
  local ok, digest = pcall(function()
    require("run.segment").perform({ folder = folder, image = image, prompts = { given }, files = files, quiet = true },
      scratch, function(text) return text end)
    return interpretation.digest { { "embedding", npy.read(files.embedding), true },
      { "logits", npy.read(files.logits[1]), true } }
  end)
  sys.remove_tree(scratch)
  sys.keep(scratch)
  if not ok then error(digest, 0) end
  return digest
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

--- A build's digest of each image, in order, run here, under the board's emulator where there is one.
-- @param folder of run.folder, compiled @param model of it
function numerics.built(folder, model, images, prompt, show)
  local list = {}
  for i, image in ipairs(images) do
    show(("%s: by the build for %s"):format(image.name, folder.board))
    list[i] = built_digest(folder, image.tensor, prompt(model, image.tensor))
  end
  return list
end

--- @param models function(device) -> model, called once in each arithmetic
-- @param class of the build @param device of compiler.recorded
-- @param images list of { name, tensor = u8 [depth,H,W,3] } @param prompt function(model, image) -> prompt
-- @param show function(text) before each
-- @return a list in order of { layer, error = largest relative to the layer's largest value, rms, at = index of the
--   element, image = name }; and of each image { name, it = run.interpretation's in float64, prompt, truth, found =
--   { embedding, logits } in float64 and as the build computes it }
function numerics.of(models, class, device, images, prompt, show)
  local list, by, runs = {}, {}, {}
  for i, image in ipairs(images) do
    local truth = {}
    show(image.name .. ": in float64")
    local exact = run(models, "float64", device, image.tensor, prompt, function(label, y)
      if label then truth[label] = y end
    end)
    local found, order = {}, {}
    show(image.name .. ": as the build computes it")
    local built = run(models, class, device, image.tensor, prompt, function(label, y)
      if label and not found[label] then order[#order + 1] = label end
      if label then found[label] = y end
    end)
    runs[i] = { name = image.name, it = exact.it, prompt = exact.prompt, truth = exact, found = built }
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
  return list, runs
end

return numerics
