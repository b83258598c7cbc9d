-- SPDX-License-Identifier: Apache-2.0
--- Augmentation: pictures and their masks, changed alike at random before each use.
--
-- A plan is a text of steps, `flip:0.5,rotate:10,shift:0.1@0.5`, or a preset's name among them. VALUE@P: with
-- probability P, else always; a flip's and rot90's value is its probability.
--   flip, flip-x, flip-y, flip-z   left and right, top and bottom, first and last slice change places; flip: each
--   rot90          one, two or three quarter turns; of a picture that is not square two
--   rotate:DEG     by up to DEG degrees either way
--   scale:A..B     to A to B times the size
--   crop:A..B      to a window anywhere, of A to B of either side, enlarged to the whole
--   shift:V        levels plus -V to V of their range
--   gain:V         levels times 1 - V to 1 + V
--   gamma:A..B     levels, from 0 to 1, to the power of A to B
-- Flips come first, then quarter turns; rotate, scale and crop are one resampling (bilinear; of masks the nearest
-- pixel), what lies outside is 0; gamma, gain and shift are one curve, in that order.
local augment = {}

local closed = require "support.closed"
local fail = require "support.fail"
local native = require "msagen.augment"
local random = require "msagen.random"

augment.PRESETS = {
  none = "",
  mild = "flip-x:0.5,rotate:10,scale:0.9..1.1,gain:0.1",
  decathlon = "flip:0.1,rot90:0.1,shift:0.1@0.5", -- MSA's of the Medical Segmentation Decathlon, with MONAI
}

-- kind: what the value is. least, most: of it. at: the first of its numbers of the key, which no other step uses: the
-- chance, then values.
local STEPS = {
  ["flip-x"] = { kind = "chance", at = 0 },
  ["flip-y"] = { kind = "chance", at = 1 },
  ["flip-z"] = { kind = "chance", at = 2 },
  rot90 = { kind = "chance", at = 3 },
  rotate = { kind = "up to", at = 5, least = 0, most = 180 },
  scale = { kind = "range", at = 7, least = 0.1, most = 10 },
  crop = { kind = "range", at = 9, least = 0.05, most = 1 },
  shift = { kind = "up to", at = 13, least = 0, most = 1 },
  gain = { kind = "up to", at = 15, least = 0, most = 1 },
  gamma = { kind = "range", at = 17, least = 0.1, most = 10 },
}
local FLIPS = { "flip-x", "flip-y", "flip-z" }

local NAMES = closed.sorted(STEPS)
table.insert(NAMES, "flip")
for _, name in ipairs(closed.sorted(augment.PRESETS)) do table.insert(NAMES, name) end
table.sort(NAMES)

local NUMBER = "^%d*%.?%d+$"

-- A text as a message shows it: in one line, short.
local function shown(text)
  if not text or text == "" then return "none" end
  return ((#text > 60 and text:sub(1, 57) .. "..." or text):gsub("[%c\127]", " "))
end

local function number(text, least, most, where, what)
  local value = text and text:find(NUMBER) and tonumber(text)
  if not value or value < least or value > most then
    fail("%s: expected %s from %g to %g, found %s", where, what, least, most, shown(text))
  end
  return value + 0.0
end

local function read_step(name, text, where)
  local step = STEPS[name] or STEPS["flip-x"]
  if step.kind == "chance" then return { chance = number(text, 0, 1, where, "a probability") } end
  local value, chance = text, nil
  if text and text:find("@", 1, true) then value, chance = text:match "^(.-)@(.*)$" end
  local found = { chance = chance and number(chance, 0, 1, where, "a probability behind @") or 1.0 }
  if step.kind == "up to" then
    found.low = -number(value, step.least, step.most, where, "a number")
    found.high = -found.low
    return found
  end
  local low, high = (value or ""):match "^(.-)%.%.(.*)$"
  if not low then
    fail("%s: expected a range A..B of numbers from %g to %g, found %s", where, step.least, step.most, shown(value))
  end
  found.low = number(low, step.least, step.most, where, "a number before ..")
  found.high = number(high, step.least, step.most, where, "a number behind ..")
  if found.low > found.high then fail("%s: expected the lower number first, found %s", where, value) end
  return found
end

local function add(plan, name, step, where)
  if plan[name] then fail("%s: %s: expected once, found twice", where, name) end
  plan[name] = step
end

local function read_into(plan, text, where)
  for item in (text .. ","):gmatch "([^,]*)," do
    local name, value = item:match "^([^:]*):?(.*)$"
    closed.member(name, NAMES, where)
    local here = ("%s: %s"):format(where, name)
    local preset = augment.PRESETS[name]
    if preset then
      if value ~= "" then fail("%s: expected no value, found %s", here, shown(value)) end
      if preset == "" and text ~= name then fail("%s: expected it alone, found %s", here, shown(text)) end
      if preset ~= "" then read_into(plan, preset, where) end
    else
      local step = read_step(name, item:find(":", 1, true) and value or nil, here)
      for _, one in ipairs(name == "flip" and FLIPS or { name }) do add(plan, one, step, where) end
    end
  end
end

--- A plan from its text. @param where what refusals begin with, default "--augment"
-- @return step's name -> { chance, low, high }; empty: nothing is changed
function augment.parse(text, where)
  local plan = {}
  read_into(plan, text, where or "--augment")
  return plan
end

local function between(step, share) return step.low + (step.high - step.low) * share end

-- Where pixels come from, or nil where they stay: around the middle turned, scaled; the window's middle.
local function map_of(drawn, height, width)
  if not (drawn.rotate or drawn.scale or drawn.crop) then return nil end
  local cosine, sine = native.turn(drawn.rotate or 0)
  local crop = drawn.crop or { share = 1.0, x = 0.5, y = 0.5 }
  local middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
  local step = crop.share / (drawn.scale or 1.0)
  local a, b = step * cosine, step * sine
  local from_x = middle_x + (1 - crop.share) * width * (crop.x - 0.5)
  local from_y = middle_y + (1 - crop.share) * height * (crop.y - 0.5)
  return { a, b, from_x - a * middle_x - b * middle_y, -b, a, from_y + b * middle_x - a * middle_y }
end

--- What is done to a picture of height x width and its masks.
-- @param plan of parse  @param key of random numbers (train/uses.lua: "augment")
-- @return { ["flip-x"], ["flip-y"], ["flip-z"] = true where flipped, rot90 = quarter turns, rotate = degrees, scale,
-- crop = { share, x, y }, shift, gain, gamma = those drawn, map, curve = for apply; each nil where nothing is done }
function augment.draw(plan, key, height, width)
  local drawn = {}
  for name, step in pairs(plan) do
    local at = STEPS[name].at
    if random.unit(key, at) < step.chance then
      if name == "rot90" then
        drawn[name] = height == width and 1 + random.below(key, at + 1, 3) or 2
      elseif STEPS[name].kind == "chance" then
        drawn[name] = true
      else
        local value = between(step, random.unit(key, at + 1))
        drawn[name] = name == "crop" and { share = value, x = random.unit(key, at + 2), y = random.unit(key, at + 3) }
          or value
      end
    end
  end
  drawn.map = map_of(drawn, height, width)
  if drawn.gamma or drawn.gain or drawn.shift then
    drawn.curve = native.curve(drawn.gamma or 1.0, 1.0 + (drawn.gain or 0.0), drawn.shift or 0.0)
  end
  return drawn
end

-- Flips and quarter turns; y, x: the tensor's dimensions, from 1, z is the one before where there is one.
local function turned(drawn, t, y, x)
  if drawn["flip-x"] then t = t:flip(x) end
  if drawn["flip-y"] then t = t:flip(y) end
  if drawn["flip-z"] and y > 1 then t = t:flip(y - 1) end
  if drawn.rot90 == 2 then return t:flip(x):flip(y) end
  if not drawn.rot90 then return t end
  local order = {}
  for k = 1, #t.shape do order[k] = k end
  order[y], order[x] = x, y
  return t:permute(order):flip(drawn.rot90 == 1 and x or y)
end

--- A picture, u8 [H,W,3], or [D,H,W,3], whose slices are changed alike. @param drawn of draw, for its height and width
function augment.picture(drawn, t)
  local y = #t.shape - 2
  t = turned(drawn, t, y, y + 1)
  if drawn.map then t = native.warp(t, drawn.map) end
  return drawn.curve and native.levels(t, drawn.curve) or t
end

--- A mask or labels of any type, [H,W] or [D,H,W].
function augment.mask(drawn, t)
  local y = #t.shape - 1
  t = turned(drawn, t, y, y + 1)
  return drawn.map and native.nearest(t, drawn.map) or t
end

return augment
