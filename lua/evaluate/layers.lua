-- SPDX-License-Identifier: Apache-2.0
--- The error of each layer of a build in lower precision, found by the interpreter (run.layer_errors) on the case whose
-- masks agree least with the other build's.
local arithmetic = require "target.arithmetic"
local fail = require "support.fail"
local interpretation = require "run.interpretation"
local layer_errors = require "run.layer_errors"
local one_case = require "evaluate.one_case"
local prompts = require "run.prompts"
local recorded = require "compiler.recorded"
local sources = require "evaluate.sources"

local layers = {}

-- The build of lower precision, of the two.
local function lowered_of(evaluation)
  for _, folder in ipairs { evaluation.folder, evaluation.second.folder } do
    if folder.precision ~= arithmetic.DEFAULT then return folder end
  end
  fail("--layers: expected a build in bf16 or int8, found two in %s", arithmetic.DEFAULT)
end

--- What --layers needs, before any case is done. @return { folder, model, device }
function layers.open(evaluation, path)
  if not evaluation.second then fail("--layers: expected --against with another build, found none") end
  local folder = lowered_of(evaluation)
  local device = recorded.device(folder, path, "--layers")
  local model = require("compiler.compiler").models(device, "--layers")[1]
  return { folder = folder, model = model, device = device }
end

-- The row whose mask agrees least, of all results. @return case's name, row
local function least(results)
  local name, worst
  for _, result in ipairs(results) do
    for _, row in ipairs(result.rows) do
      if row.other_iou and (not worst or row.other_iou < worst.other_iou) then name, worst = result.case, row end
    end
  end
  return name, worst
end

local function named(list, name)
  for _, one in ipairs(list) do
    if one.name == name then return one end
  end
end

-- The slices that the network takes at once, that of the prompt among them. @return u8 [depth,H,W,3], which is its
local function together(image, slice, depth)
  local first = math.min(slice // depth * depth, image.shape[1] - depth)
  return image:slice(1, first, depth), slice - first
end

--- @param opened of layers.open @param results of all cases
-- @return { case, class, clicks, layers, ends } with the last two of layer_errors.of; nil where no mask was compared
function layers.of(evaluation, opened, results)
  local name, row = least(results)
  if not name then return nil end
  local case, model = named(evaluation.set.cases, name), opened.model
  local found = sources.image(case, evaluation.options)
  local shape = found.image.shape
  local prompt, slice = one_case.prompt_of_row(named(case.classes, row.class), row, evaluation.options, shape[1])
  prompts.check(prompt, shape[3], shape[2], shape[1], opened.folder)
  local image, at = together(found.image, slice, model.depth)
  local it = interpretation.of(model, opened.folder.arithmetic, nil, opened.device)
  local list, ends = layer_errors.of(it, function()
    it:encode(image)
    return { { "embedding", it.embedding },
      { "logits", (it:decode(at, interpretation.prompt(prompt, slice + 1, 4 * model.grid))) } }
  end)
  return { case = name, class = row.class, clicks = row.clicks, layers = list, ends = ends }
end

return layers
