-- SPDX-License-Identifier: Apache-2.0
--- How alike the masks of two builds are: those of the same prompts, which are the first click (the truth alone says
-- where it is), the data set's own prompts, and texts. Later clicks follow from a build's own errors.

local npy = require "msagen.npy"
local image = require "msagen.image"
local sys = require "msagen.sys"

local agreement = {}

local FIRST = 1 -- click after which masks are compared

--- Whether a result's mask is of a prompt that another build gets as well. @param step of a row: clicks
function agreement.alike(step) return math.type(step) ~= "integer" or step <= FIRST end

--- The clicks that are compared, of those that are measured.
function agreement.clicks(list)
  local kept = {}
  for _, step in ipairs(list) do
    if agreement.alike(step) then kept[#kept + 1] = step end
  end
  return kept
end

--- Compare a mask with the other build's. @param ours, theirs paths of masks u8 [N,H,W]
-- @return { other_iou, other_dice, other_flipped: share of the pixels that differ }; two empty masks are alike
function agreement.compare(ours, theirs)
  local a, b = npy.read(ours), npy.read(theirs)
  local both, sum = image.overlap(a, b)
  local either = sum - both
  return { other_iou = either > 0 and both / either or 1.0, other_dice = sum > 0 and 2 * both / sum or 1.0,
    other_flipped = (sum - 2 * both) / a:numel() }
end

--- Do a case with the other build, and note in the rows of ours how alike the masks are.
-- @param asks of ours, with paths of their masks @param rows of ours @param again function(folder, clicks, scratch) ->
-- asks of the other build, whose masks have been made
function agreement.note(asks, rows, options, scratch, again)
  local clicks = agreement.clicks(options.clicks)
  local folder = scratch .. "/beside"
  sys.mkdir_p(folder)
  local masks = {}
  for _, ask in ipairs(again(options.beside, clicks, folder)) do
    for i, step in ipairs(ask.steps) do masks[ask.class.name .. "\n" .. tostring(step)] = ask.masks[i] end
  end
  local at = 0
  for _, ask in ipairs(asks) do
    for i, step in ipairs(ask.steps) do
      at = at + 1
      local theirs = agreement.alike(step) and masks[ask.class.name .. "\n" .. tostring(step)]
      if theirs then
        for name, value in pairs(agreement.compare(ask.masks[i], theirs)) do rows[at][name] = value end
      end
    end
  end
  sys.remove_tree(folder)
end

local function summarised(list, higher)
  table.sort(list)
  local sum = 0
  for _, value in ipairs(list) do sum = sum + value end
  return { mean = sum / #list, worst = higher and list[1] or list[#list] }
end

--- What the rows of all cases come to: a list of { class, clicks, n, iou, dice, flipped = each { mean, worst } }, in
-- the order of classes and clicks.
function agreement.of(results, classes, clicks)
  local list = {}
  for _, class in ipairs(classes) do
    for _, step in ipairs(clicks) do
      local iou, dice, flipped = {}, {}, {}
      for _, result in ipairs(results) do
        for _, row in ipairs(result.rows) do
          if row.class == class and row.clicks == step and row.other_iou then
            iou[#iou + 1], dice[#dice + 1], flipped[#flipped + 1] = row.other_iou, row.other_dice, row.other_flipped
          end
        end
      end
      if #iou > 0 then
        list[#list + 1] = { class = class, clicks = step, n = #iou, iou = summarised(iou, true),
          dice = summarised(dice, true), flipped = summarised(flipped, false) }
      end
    end
  end
  return list
end

return agreement
