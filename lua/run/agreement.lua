-- SPDX-License-Identifier: Apache-2.0
--- How far masks agree with the expert's.
local agreement = {}

--- The expert's mask that a prompt is compared with.
-- @param run { truth = the mask of --truth-inside, truths = of prompt k the mask of its own class }
function agreement.truth_of(run, k) return run.truths and run.truths[k] or run.truth end

-- Distances are in millimetres where all axes that the masks extend along have them, else in pixels.
local function scale_of(spacing, slices)
  if spacing and spacing[2] and spacing[3] and (slices == 1 or spacing[1]) then
    return { spacing[1] or 1, spacing[2], spacing[3] }, "mm"
  end
  return { 1, 1, 1 }, "pixels"
end

--- Compare a prompt's mask with its truth.
-- @param mask, truth u8 [N,H,W]
-- @param spacing nil, or { mm between slices, rows, columns }, each may be false
-- @return { dice, iou, hd95 = the 95th percentile of all distances between the borders, unit = "mm" or "pixels",
--   truth_pixels }; what is undefined is nil. Two empty masks agree: Dice and IoU 1
function agreement.of(mask, truth, spacing)
  local slices, metrics = mask.shape[1], require "msagen.metrics"
  local scale, unit = scale_of(spacing, slices)
  local flat = { mask.shape[2], mask.shape[3] }
  local found = slices > 1 and metrics.compare(mask, truth, scale)
    or metrics.compare(mask:reshape(flat), truth:reshape(flat), { scale[2], scale[3] })
  local empty = found.pred_pixels + found.truth_pixels == 0
  return { dice = empty and 1 or found.dice, iou = empty and 1 or found.iou, hd95 = found.hd95_pooled, unit = unit,
    truth_pixels = found.truth_pixels }
end

return agreement
