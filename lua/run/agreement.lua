-- SPDX-License-Identifier: Apache-2.0
--- How far masks agree with the expert's.
local agreement = {}

--- The expert's mask that a prompt is compared with.
-- @param run { truth = the mask of --truth-inside, truths = of prompt k the mask of its own class }
function agreement.truth_of(run, k) return run.truths and run.truths[k] or run.truth end

--- Compare a prompt's mask with its truth.
-- @param mask, truth u8 [N,H,W]
-- @param spacing nil, or { mm between slices, rows, columns }, each may be false
-- @return { dice, iou, hd95, unit = "mm" or "pixels", pixels = in the mask, truth_pixels }; what is undefined is nil
function agreement.of(mask, truth, spacing)
  local image = require "msagen.image"
  local both, sum = image.overlap(mask, truth)
  local _, twice = image.overlap(truth, truth)
  return { dice = sum > 0 and 2 * both / sum or 1, iou = sum > 0 and both / (sum - both) or 1,
    pixels = sum - twice // 2, truth_pixels = twice // 2, unit = spacing and "mm" or "pixels" }
end

return agreement
