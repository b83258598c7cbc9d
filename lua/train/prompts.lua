-- SPDX-License-Identifier: Apache-2.0
--- What a network is asked in training: clicks, boxes, mask prompts and texts, drawn from the truth and from what the
-- network said last. A prompter gives the prompts of one target, one after the other:
--
--   prompter.first(context) -> prompt        prompter.next(context, logits, iou) -> prompt, or nil after the last
--
-- A context is { key = { seed, step, image }, target = its number of the image, from 0, slice = from 0, name = for
-- messages, truth = u8 [H,W]: 255 is inside, 0 outside, others = masks alike of other objects, or none, labels = i32
-- [H,W] in the place of truth where "msa" chooses the class, text = f32 [E] }; key and truth (or labels) are required.
-- H and W are those of the picture within the network's square, without padding. next keeps what it knows in it.
-- A prompt is { points = { {x, y, label}... } of pixels: 0 is the first, label 1 inside, 0 outside; box = { x0, y0, x1,
-- y1 }; mask = f32 [4g,4g], raw logits; text = f32 [E]; multimask; target = u8 [H,W], where it is not the truth; round
-- from 0 }.
local clicks = require "msagen.clicks"
local closed = require "support.closed"
local contour = require "msagen.contour"
local fail = require "support.fail"
local image = require "msagen.image"
local random = require "msagen.random"
local schema = require "support.schema"
local tensor = require "msagen.tensor"
local uses = require "train.uses"

local prompts = {}

local INSIDE = 255
local EVERY = 0x7fffffff
local START_OVER = 0.3
local NOISE, MOST_NOISE = 0.1, 20 -- of a box's side; pixels
local NEW_CLICKS = 8 -- of SAM's iterations; two more have none

local function size_of(context)
  local shape = (context.truth or context.labels).shape
  return shape[1], shape[2]
end

-- A view whose elements do not lie in order is copied.
local function in_order(t) return t:contiguous() and t or tensor.frombytes(t:tobytes(), t.dtype, t.shape) end

local function volume_of(mask) return in_order(mask):reshape { 1, mask.shape[1], mask.shape[2] } end

local function key(context, use, round)
  return uses.key(context.key, use, context.target or 0, context.slice or 0, round or 0)
end

local function anywhere(context, label, round)
  local height, width = size_of(context)
  local at = random.below(key(context, "anywhere", round), 0, height * width)
  return { at % width, at // width, label }
end

-- A pixel of the truth, all equally likely; of an empty one a pixel outside.
local function inside(context)
  local x, y = clicks.pick(context.truth, key(context, "click"))
  return x and { x, y, 1 } or anywhere(context, 0)
end

--- The box of a mask, its first and last columns and rows: { x0, y0, x1, y1 }; nil of an empty one.
function prompts.box(mask)
  local extent = contour.extent(volume_of(mask))
  if extent.pixels == 0 then return nil end
  return { extent.first[3], extent.first[2], extent.last[3] - 1, extent.last[2] - 1 }
end

--- A box with noise: each number moves by 10 % of the box's side along its axis (standard deviation, or as "uniform"
-- the most), by 20 pixels at most; numbers stay within the picture and in order. Numbers 0 to 3 of the key are used.
function prompts.noisy(box, noise, of, height, width)
  local moved = {}
  for i = 1, 4 do
    local axis = (i - 1) % 2
    local share = NOISE * (box[axis + 3] - box[axis + 1])
    local by
    if noise == "uniform" then
      by = (2 * random.unit(of, i - 1) - 1) * math.min(share, MOST_NOISE)
    else
      by = math.max(-MOST_NOISE, math.min(MOST_NOISE, share * random.normal(of, i - 1)))
    end
    moved[i] = math.max(0.0, math.min((axis == 0 and width or height) - 1.0, box[i] + by))
  end
  local x0, y0, x1, y1 = table.unpack(moved)
  return { math.min(x0, x1), math.min(y0, y1), math.max(x0, x1), math.max(y0, y1) }
end

local function noisy_box(context, options)
  local box = prompts.box(context.truth)
  if not box then return { clicks = { anywhere(context, 0) } } end
  local height, width = size_of(context)
  return { clicks = {}, box = prompts.noisy(box, options.noise, key(context, "box"), height, width) }
end

--- Which of the mask outputs goes on: that of highest predicted IoU, the first of equal ones.
-- @param logits f32 [M,h,w]  @param iou f32 [M], or nil: the first
-- @return logits f32 [h,w], number from 0
function prompts.chosen(logits, iou)
  local best, most = 0, -math.huge
  for i, value in ipairs(iou and iou:totable() or {}) do
    if value > most then best, most = i - 1, value end
  end
  return logits:slice(1, best, 1):reshape { logits.shape[2], logits.shape[3] }, best
end

-- The mask that logits of the network's square say, of the picture within it.
local function found(context, logits)
  local height, width = size_of(context)
  local side = context.side or math.max(height, width)
  local whole = clicks.found(logits, side, side)
  return whole:slice(1, 0, height):slice(2, 0, width)
end

-- ---- modes ----
-- first(context, options) -> state { clicks, box, mask, text, target }; next(context, options, state, round, logits)
-- changes the state.

local function msa_slice(context)
  local labels = in_order(context.labels)
  local mask = image.inside(labels, { { 1, EVERY } })
  local x, y = clicks.pick(mask, key(context, "class"))
  if not x then return { clicks = { anywhere(context, 1) }, target = mask } end
  local class = labels:get(y, x)
  return { clicks = { { x, y, 1 } }, class = class, target = (image.inside(labels, { { class, class } })) }
end

local function msa_first(context)
  if context.labels then return msa_slice(context) end
  local highest = clicks.highest(context.truth)
  if highest == 0 then return { clicks = { anywhere(context, 0) } } end
  local x, y = clicks.pick(context.truth, key(context, "click"), highest)
  return { clicks = { { x, y, 1 } } }
end

local function msa_2023_first(context)
  if context.labels then return msa_slice(context) end
  local x, y = clicks.pick(context.truth, key(context, "click"), INSIDE)
  if not x then
    fail("%s: mask: expected a pixel that is %d at the network's size, for a click, found the highest %d; prompts msa "
      .. "click on the highest", context.name or ("image %d"):format(context.key.image), INSIDE,
      clicks.highest(context.truth))
  end
  return { clicks = { { x, y, 1 } } }
end

local function random_first(context, options, round)
  return { clicks = clicks.random(context.truth, key(context, "random_clicks", round), context.others, options.most) }
end

local function paper_next(context, options, state, round, logits)
  if random.unit(key(context, "start_over", round), 0) < START_OVER then
    state.clicks, state.mask = random_first(context, options, round).clicks, nil
    return
  end
  local click = #state.clicks < options.most and clicks.iterative(context.truth, found(context, logits), state.clicks,
    key(context, "iterative_click", round))
  if click then table.insert(state.clicks, click) end
  state.mask = logits
end

local function sam_first(context, options)
  if random.below(key(context, "point_or_box"), 0, 2) == 0 then return { clicks = { inside(context) } } end
  return noisy_box(context, options)
end

--- Which of SAM's prompts bring a new click. There are eleven: the first, 0; then ten with the last logits as mask
-- prompt, of which the last and one other have no new click. @param silent the other's number, 1 to 8
function prompts.has_click(round, silent) return round > 0 and round ~= silent and round <= NEW_CLICKS + 1 end

local function sam_next(context, _, state, round, logits)
  local silent = 1 + random.below(key(context, "silent"), 0, NEW_CLICKS)
  if prompts.has_click(round, silent) then
    table.insert(state.clicks, clicks.wrong(context.truth, found(context, logits), key(context, "wrong_click", round)))
  end
  state.mask = logits
end

-- The deepest point, without chance: what evaluation clicks.
local function centre(context, mask)
  local click = require("msagen.metrics").click(context.truth, mask)
  return click and { math.tointeger(click.x - 0.5), math.tointeger(click.y - 0.5), click.label }
end

local function centre_next(context, options, state, _, logits)
  local click = #state.clicks < options.most and centre(context, found(context, logits))
  if click then table.insert(state.clicks, click) end
  state.mask = logits
end

local function text_first(context)
  if not context.text then fail("%s: text: expected an embedding, found none", context.name or "prompt") end
  return { clicks = {}, text = context.text }
end

--- What prompts there are; rounds: how many a target, and whether another number may be asked for (next repeats).
prompts.MODES = {
  msa = { rounds = 1, first = msa_first, single = true },
  ["msa-2023"] = { rounds = 1, first = msa_2023_first, single = true },
  random = { rounds = 1, first = random_first },
  paper = { rounds = 4, first = random_first, next = paper_next, free = true },
  point = { rounds = 1, first = function(context) return { clicks = { inside(context) } } end },
  box = { rounds = 1, first = noisy_box },
  sam = { rounds = NEW_CLICKS + 3, first = sam_first, next = sam_next },
  centre = { rounds = 1, next = centre_next, free = true,
    first = function(context) return { clicks = { centre(context) or anywhere(context, 0) } } end },
  text = { rounds = 1, first = text_first, single = true },
}

local MODES = closed.sorted(prompts.MODES)

local OPTIONS = {
  mode = { schema.one_of(table.unpack(MODES)), true },
  noise = { schema.one_of("normal", "uniform"), false },
  order = { schema.one_of("xy", "rc"), false },
  rounds = { schema.whole(1, 64), false },
  most = { schema.whole(1, 64), false },
  feedback = { schema.flag, false },
  multimask = { schema.flag, false },
}

-- The prompt of a state. Only points are swapped: MSA drew no boxes.
local function prompt_of(state, mode, options, round)
  local points = {}
  for i, click in ipairs(state.clicks) do
    local x, y = click[1], click[2]
    if options.order == "rc" then x, y = y, x end
    points[i] = { x, y, click[3] }
  end
  local several = options.multimask
  if several == nil then several = not mode.single and #points == 1 and not state.box end
  return { points = points, box = state.box, mask = options.feedback ~= false and state.mask or nil, text = state.text,
    target = state.target, class = state.class, multimask = several, round = round }
end

--- A prompter.
-- @param options { mode = a name of prompts.MODES; noise = "normal" (SAM's paper, default) or "uniform" (SAM 2) of
-- boxes; order = "xy" (default), or "rc": points are { row, column, label }, as MSA's clicks of 2023 and of volumes
-- were; rounds = prompts a target, of "paper" (default 4) and "centre" (default 1); most = clicks a prompt has at most,
-- default 16; feedback = whether prompts after the first come with the last logits, default true; multimask = for all
-- prompts, default: three masks for one click alone, one of "msa" and "text" }
-- @return { mode, rounds, first, next }
function prompts.create(options)
  schema.check(options, OPTIONS, "prompts")
  local mode = prompts.MODES[options.mode]
  if options.rounds and not mode.free and options.rounds ~= mode.rounds then
    fail("prompts: rounds: expected %d, as %s has, found %d", mode.rounds, options.mode, options.rounds)
  end
  local set = {}
  for name, value in pairs(options) do set[name] = value end
  set.most = options.most or 16
  local prompter = { mode = options.mode, rounds = options.rounds or mode.rounds }

  function prompter.first(context)
    context.state = mode.first(context, set, 0)
    context.round = 0
    return prompt_of(context.state, mode, set, 0)
  end

  function prompter.next(context, logits, iou)
    if context.round + 1 >= prompter.rounds then return nil end
    context.round = context.round + 1
    mode.next(context, set, context.state, context.round, (prompts.chosen(logits, iou)))
    return prompt_of(context.state, mode, set, context.round)
  end

  return prompter
end

--- The labels of masks u8 [H,W], i32 [H,W]: their numbers, the later one's where several are inside, else 0.
function prompts.labels(masks)
  local height, width = masks[1].shape[1], masks[1].shape[2]
  local whole = tensor.zeros({ 1, height, width }, "u8")
  for i, mask in ipairs(masks) do whole = contour.paint(whole, mask:reshape { 1, height, width }, i) end
  return tensor.frombytes((whole:tobytes():gsub(".", "%0\0\0\0")), "i32", { height, width })
end

--- All pixels that are in one of the masks, u8 [H,W]: the one target of a text that names several.
function prompts.union(masks)
  local height, width = masks[1].shape[1], masks[1].shape[2]
  local whole = tensor.zeros({ 1, height, width }, "u8")
  for _, mask in ipairs(masks) do whole = contour.paint(whole, volume_of(mask), INSIDE) end
  return whole:reshape { height, width }
end

return prompts
