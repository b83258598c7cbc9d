-- SPDX-License-Identifier: Apache-2.0
--- How well the network does on cases that it does not train on: Dice and IoU as `msagen evaluate` defines them, after
-- so many clicks, on the image's own grid. Each click is the inmost pixel of what is wrong; nothing is learned of it.
local enlarge = require "msagen.enlarge"
local image = require "msagen.image"
local metrics = require "msagen.metrics"
local pictures = require "emit.pictures"
local prompts = require "train.prompts"
local samples = require "train.samples"
local segment = require "run.segment"
local tensor = require "msagen.tensor"

local validation = {}

--- In the place of numbers of clicks: the box of the truth; the class's text.
validation.BOX, validation.TEXT = "box", "text"

local ASKED = { [validation.BOX] = "of the box", [validation.TEXT] = "of the text" }

local function f32(x) return (string.unpack("<f", string.pack("<f", x))) end

-- Where a click of the picture is at the network's size, for pictures of this size.
local function placer(m, width, height)
  if m.resampling == "sampled" then return function(x, y) return x, y end end
  local to_width, to_height = pictures.size(width, height, m.image_size, m.resize == "longest")
  return function(x, y) return f32(x * (to_width / width)), f32(y * (to_height / height)) end
end

-- How logits become a mask of a picture: of msagen.enlarge.
local function rule_of(m)
  local longest = m.resize == "longest"
  return { square = (longest or m.mask_square) and m.image_size or 0, squashed = m.mask_square,
    probabilities = m.mask_from == "probabilities" }
end

-- Which of the masks counts: the class's, or the one of highest predicted IoU.
local function chosen(m, scores, class)
  if m.classes and m.classes > 1 then return class - 1 end
  local best, place = -math.huge, 0
  for i = 0, scores:numel() - 1 do
    local score = scores:reshape { scores:numel() }:get(i)
    if score > best then best, place = score, i end
  end
  return place
end

-- Decode a prompt. @return logits of the mask that counts, [side,side]; the mask, u8 [H,W]
local function decoded(trainer, prompt, class, width, height)
  prompt.multimask = trainer.model.best_of_several or false
  local found, scores = trainer:decode(prompt)
  local side = found.shape[#found.shape]
  local logits = found:slice(1, chosen(trainer.model, scores, class), 1):reshape { side, side }
  return logits, enlarge.inside(logits, width, height, rule_of(trainer.model))
end

-- The mask of the truth's box, or of a text.
local function of_one(trainer, slice, truth, class, text)
  local height, width = truth.shape[1], truth.shape[2]
  local box, place = prompts.box(truth), placer(trainer.model, width, height)
  if not box then return { tensor.zeros({ height, width }, "u8") } end
  local prompt = { slice = slice, text = text }
  if not text then
    local x0, y0 = place(box[1], box[2])
    local x1, y1 = place(box[3], box[4])
    prompt.box = { x0, y0, x1, y1 }
  end
  local _, mask = decoded(trainer, prompt, class, width, height)
  return { mask }
end

-- The masks of a slice after each of some numbers of clicks, u8 [H,W]; of a slice without the class empty ones.
local function of_slice(trainer, slice, truth, class, clicks, text)
  if ASKED[clicks[1]] then return of_one(trainer, slice, truth, class, text) end
  local m, height, width = trainer.model, truth.shape[1], truth.shape[2]
  local place, points, masks = placer(m, width, height), {}, {}
  local mask, logits = tensor.zeros({ height, width }, "u8"), nil
  local click = not truth:is_zero() and metrics.click(truth) or nil
  for count = 1, clicks[#clicks] do
    if click then
      local x, y = place(click.x, click.y)
      points[#points + 1] = { x, y, click.label }
      local feedback = m.training and m.training.feedback == "logits" and logits or nil
      logits, mask = decoded(trainer, { slice = slice, points = points, mask = feedback }, class, width, height)
      click = metrics.click(truth, mask)
    end
    masks[count] = mask
  end
  local list = {}
  for i, count in ipairs(clicks) do list[i] = masks[count] end
  return list
end

local function plane(t, slice)
  local shape = t.shape
  return t:slice(1, slice, 1):reshape { shape[2], shape[3] }
end

-- The masks of a case, after each number of clicks, or where there are texts, one for each class, of these:
-- [class][k] = list of slices' bytes.
local function masks_of(trainer, whole, options, texts)
  local m, shape, made = trainer.model, whole.picture.shape, {}
  for class in ipairs(whole.masks) do
    made[class] = {}
    for k in ipairs(options.clicks) do made[class][k] = {} end
  end
  for _, subvolume in ipairs(segment.subvolumes(shape[1], m.depth)) do
    trainer:encode(samples.picture(whole.picture, subvolume.first, m))
    for class, truth in ipairs(whole.masks) do
      for slice = 0, subvolume.keep - 1 do
        local own, text = plane(truth, subvolume.first + slice), texts and texts[class]
        local list = of_slice(trainer, slice, own, class, options.clicks, text)
        for k, mask in ipairs(list) do table.insert(made[class][k], mask:tobytes()) end
      end
    end
  end
  return made
end

-- Dice and IoU of each class and number of clicks, false where mask and truth are empty; flat, as they pass between
-- ranks: NaN stands for false.
local function of_case(trainer, cases, case, options)
  local whole, numbers = cases:case(case), {}
  local texts = options.text_of and {}
  for class, of_class in ipairs(texts and case.classes or {}) do texts[class] = options.text_of(of_class.name) end
  local made, shape = masks_of(trainer, whole, options, texts), whole.picture.shape
  for class, of_class in ipairs(case.classes) do
    local truth = whole.truth_of(of_class).own
    for k in ipairs(options.clicks) do
      local mask = tensor.frombytes(table.concat(made[class][k]), "u8", { shape[1], shape[2], shape[3] })
      local both, sum = image.overlap(whole.found.input:whole(mask), truth)
      numbers[#numbers + 1] = sum > 0 and not truth:is_zero() and 2 * both / sum or 0 / 0
      numbers[#numbers + 1] = sum > 0 and not truth:is_zero() and both / (sum - both) or 0 / 0
    end
  end
  return numbers
end

-- Means of the cases that have a class, and of these the mean of the classes: a list a number of clicks.
local function means(numbers, cases, options, offset)
  local list, at = {}, offset
  local sums, counts, names = {}, {}, {}
  for _, case in ipairs(cases) do
    for _, class in ipairs(case.classes) do
      if not sums[class.name] then sums[class.name], counts[class.name], names[#names + 1] = {}, {}, class.name end
      for k in ipairs(options.clicks) do
        local value = numbers[at]
        if value == value then
          sums[class.name][k] = (sums[class.name][k] or 0.0) + value
          counts[class.name][k] = (counts[class.name][k] or 0) + 1
        end
        at = at + 2
      end
    end
  end
  for k in ipairs(options.clicks) do
    local sum, n = 0.0, 0
    for _, name in ipairs(names) do
      if counts[name][k] then sum, n = sum + sums[name][k] / counts[name][k], n + 1 end
    end
    list[k] = n > 0 and sum / n or 0.0
  end
  return list
end

local function numbers_in(case, options) return 2 * #case.classes * #options.clicks end

-- Which rank does which cases: contiguous parts.
local function count_of(who, cases, options)
  return function(rank)
    local from, to = who:part(#cases, rank)
    local n = 0
    for i = from + 1, to do n = n + numbers_in(cases[i], options) end
    return n
  end
end

local function spoken(found)
  local parts = {}
  for k, count in ipairs(found.clicks) do
    local asked = ASKED[count] or ("after %d click%s"):format(count, count == 1 and "" or "s")
    parts[k] = ("Dice %.4f, IoU %.4f %s"):format(found.dice[k], found.iou[k], asked)
  end
  return table.concat(parts, "; ")
end

--- @param cases list of cases of evaluate.datasets, at least one
-- @param options { clicks = numbers in rising order, or one of these names alone, model, how = of inputs.image }
-- @return function(trainer, who, show) -> { clicks, dice, iou = a mean each, score = the mean of the Dice, text }
function validation.of(cases, options)
  local reader = samples.reader { model = options.model, how = options.how }
  return function(trainer, who, show)
    local numbers, from, to = {}, who:part(#cases)
    for i = from + 1, to do
      show(("validation, case %d of %d"):format(i - from, to - from), i - from - 1, to - from)
      local found = of_case(trainer, reader, cases[i], options)
      table.move(found, 1, #found, #numbers + 1, numbers)
      who.look()
    end
    numbers = who:numbers(numbers, count_of(who, cases, options))
    local found = { clicks = options.clicks, dice = means(numbers, cases, options, 1),
      iou = means(numbers, cases, options, 2) }
    local sum = 0.0
    for _, dice in ipairs(found.dice) do sum = sum + dice end
    found.score, found.text = sum / #found.dice, spoken(found)
    return found
  end
end

return validation
