-- SPDX-License-Identifier: Apache-2.0
--- The cases to look at: those of the lowest Dice after the most clicks, and the one in the middle. Their masks are
-- made again, as nothing keeps the masks of all cases.
local contact_sheet = require "evaluate.contact_sheet"
local fail = require "support.fail"
local image = require "msagen.image"
local npy = require "msagen.npy"
local one_case = require "evaluate.one_case"
local overlays = require "run.overlays"
local prompts = require "run.prompts"
local sys = require "msagen.sys"

local worst = {}

-- Of each case and class the row of the most clicks that has a Dice, the lowest first.
local function ranked(results)
  local list = {}
  for at, result in ipairs(results) do
    local last = {}
    for _, row in ipairs(result.rows) do
      if row.dice and (not last[row.class] or row.clicks >= last[row.class].clicks) then last[row.class] = row end
    end
    for _, row in ipairs(result.rows) do
      if last[row.class] == row then list[#list + 1] = { at = at, case = result.case, row = row } end
    end
  end
  table.sort(list, function(a, b)
    if a.row.dice ~= b.row.dice then return a.row.dice < b.row.dice end
    if a.at ~= b.at then return a.at < b.at end
    return a.row.class < b.row.class
  end)
  return list
end

--- Which to look at. @return a list of { at = number of the case, case, row, what = "worst" or "median" }
function worst.chosen(results, count)
  local list, chosen = ranked(results), {}
  for i = 1, math.min(count, #list) do
    list[i].what, chosen[i] = "worst", list[i]
  end
  local middle = list[(#list + 1) // 2]
  if count > 0 and middle and not middle.what then
    middle.what, chosen[#chosen + 1] = "median", middle
  end
  return chosen
end

-- The slice with the most wrong pixels, from 0.
local function worst_slice(mask, truth)
  local most, found = -1, 0
  for s = 0, mask.shape[1] - 1 do
    local both, sum = image.overlap(mask:slice(1, s, 1), truth:slice(1, s, 1))
    if sum - 2 * both > most then most, found = sum - 2 * both, s end
  end
  return found
end

-- The clicks of a slice up to a step, or its prompt, as a prompt of that slice alone; slices count from 0.
local function prompt_of(ask, clicks, step, slice)
  if not ask.clicks then
    local one = {}
    for _, field in ipairs { "points", "labels", "box" } do
      local value = prompts.slice(ask.prompt, field, slice + 1)
      one[field] = value and { value }
    end
    return one
  end
  local points, labels = {}, {}
  for _, click in ipairs(clicks or {}) do
    if click.slice == slice and click.count <= step then
      points[click.count], labels[click.count] = { click.x, click.y }, click.label
    end
  end
  return #points > 0 and { points = { points }, labels = { labels }, numbered = true } or {}
end

-- The picture of one mask.
local function drawn(ask, i, found, clicks)
  local mask = npy.read(ask.masks[i])
  local truth = ask.truth.clicked
  local slice = worst_slice(mask, truth)
  local layer = { mask = mask:slice(1, slice, 1), colour = 1, prompt = prompt_of(ask, clicks, ask.steps[i], slice) }
  return overlays.draw(found.image:slice(1, slice, 1), { layer }, { truth:slice(1, slice, 1) }, {}), slice,
    mask.shape[1]
end

local function file_name(i, one)
  return ("%02d-%s-%s.png"):format(i, one.what, (one.case:gsub("[^%w_.-]", "_"):sub(1, 60):gsub("^%.", "_")))
end

-- The masks of one case again, and the pictures of those that are chosen.
local function look_again(case, mine, options, scratch)
  one_case.perform(case, options, scratch, function(ask, i, found, clicks)
    for _, one in ipairs(mine) do
      if ask.class.name == one.row.class and ask.steps[i] == one.row.clicks then
        local digest = require("msagen.sha256").file(ask.masks[i])
        if digest ~= one.row.mask then
          fail("%s: expected the mask of %s that was measured, found another: remove journal/ there and run this "
            .. "again", case.name, one.row.class)
        end
        one.picture, one.slice, one.slices = drawn(ask, i, found, clicks)
      end
    end
  end)
end

--- Make the pictures.
-- @param results in the order of the cases
-- @param cases of the data set, in the same order
-- @param count how many of the lowest
-- @param options of one_case.perform
-- @param target function(name) -> path to write to
-- @param show function(done, total)
-- @return a list of { file, path = where it was written, case, class, clicks, dice, what, slice or nil } in the order
--   of the files
function worst.write(results, cases, count, options, target, show)
  local chosen, pictures, said = worst.chosen(results, count), {}, {}
  for i, one in ipairs(chosen) do
    if not one.picture then
      show(i - 1, #chosen)
      local mine = {}
      for _, other in ipairs(chosen) do
        if other.at == one.at then mine[#mine + 1] = other end
      end
      local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evaluate-")
      local ok, problem = pcall(look_again, cases[one.at], mine, options, scratch)
      sys.remove_tree(scratch)
      sys.keep(scratch)
      if not ok then error(problem, 0) end
    end
    local name = file_name(i, one)
    local path = target(name)
    image.write_png(path, one.picture)
    pictures[i] = one.picture
    said[i] = { file = name, path = path, case = one.case, class = one.row.class, clicks = one.row.clicks,
      dice = one.row.dice, what = one.what, slice = one.slices > 1 and one.slice or nil }
  end
  if #pictures > 0 then image.write_png(target "sheet.png", contact_sheet.of(pictures)) end
  return said
end

return worst
