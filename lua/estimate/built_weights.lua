-- SPDX-License-Identifier: Apache-2.0
--- What the weights of a checkpoint come to in a build of each precision, before anything else of it is chosen.

local arithmetic = require "target.arithmetic"
local placement = require "estimate.placement"
local precisions = require "estimate.precisions"

local built_weights = {}

-- Used where a file has no resolution and its dialect no default.
local RESOLUTION = 1024

-- Whether an error says that something could not be done here and now, which is no property of the file.
local function of_the_machine(message)
  local text = type(message) == "table" and message.msagen
  return not text or text:find ": cannot be %a+: " or text:find "out of memory"
end

--- @param ckpt the open checkpoint @param base its backbone's, or nil
-- @param report of report.inspect, of this file
-- @param options ignore, weights_key: as that report was made
-- @return a list of { precision, bytes, by_precision = precisions.of's }, or nil where a build needs a choice that the
-- file does not tell and that has no default
function built_weights.of(ckpt, base, report, options)
  local compiler, list = require "compiler.compiler", {}
  local opened = { [ckpt.path] = ckpt }
  if base then opened[base.path] = base end
  for _, precision in ipairs(arithmetic.precisions) do
    local device = { checkpoint = ckpt.path, base = base and base.path, ignore = options.ignore,
      weights_key = options.weights_key, dialect = report.dialect or report.candidates[1], board = "generic-c99",
      resolution = report.model.image_size or report.model.default_size or RESOLUTION, precision = precision }
    local ok, build = pcall(compiler.schedule, device, "inspect", true, opened)
    if not ok then
      if of_the_machine(build) then error(build, 0) end
      return nil
    end
    list[#list + 1] = { precision = precision, bytes = placement.sizes(build, 0).weights,
      by_precision = precisions.of(build) }
  end
  return list
end

return built_weights
