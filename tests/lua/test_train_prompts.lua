-- SPDX-License-Identifier: Apache-2.0
-- Prompts of training: each rule against its definition, spelled out over lists of pixels; what prompters say in turn.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local clicks, random, tensor = spec.host "msagen.clicks", spec.host "msagen.random", spec.host "msagen.tensor"
if not (clicks and random and tensor) then return end
local prompts, uses = require "train.prompts", require "train.uses"

-- ---- masks: { h, w, [i] = true or nil }, i = y * w + x ----

-- Some boxes and specks.
local function random_mask(height, width, of, boxes, specks)
  local mask, at = { h = height, w = width }, 0
  local function below(n)
    at = at + 1
    return random.below(of, at, n)
  end
  for _ = 1, boxes do
    local x, y = below(width), below(height)
    local right, bottom = math.min(width - 1, x + below(width)), math.min(height - 1, y + below(height))
    for v = y, bottom do
      for u = x, right do mask[v * width + u] = true end
    end
  end
  for _ = 1, specks do
    local i = below(height * width)
    mask[i] = not mask[i] or nil
  end
  return mask
end

local function bytes_of(mask, value)
  local bytes = {}
  for i = 0, mask.h * mask.w - 1 do bytes[i + 1] = mask[i] and (value or "\255") or "\0" end
  return tensor.frombytes(table.concat(bytes), "u8", { mask.h, mask.w })
end

local function pixels(mask, keep)
  local list = {}
  for i = 0, mask.h * mask.w - 1 do
    if keep(i) then list[#list + 1] = i end
  end
  return list
end

local function draws(key)
  local at = -1
  return function(n)
    at = at + 1
    return random.below(key, at, n)
  end
end

local function click(mask, i, label) return { i % mask.w, i // mask.w, label } end

local function distances(mask, i, k) return math.abs(i % mask.w - k % mask.w), math.abs(i // mask.w - k // mask.w) end

-- Squared Euclidean distance of pixel i to the nearest of a list.
local function nearest(mask, i, list)
  local best = math.huge
  for _, k in ipairs(list) do
    local dx, dy = distances(mask, i, k)
    best = math.min(best, dx * dx + dy * dy)
  end
  return best
end

local function steps_to(mask, i, list)
  local best = math.huge
  for _, k in ipairs(list) do
    local dx, dy = distances(mask, i, k)
    best = math.min(best, dx + dy)
  end
  return best
end

-- ---- TRAINING.md section 3, random clicks ----

local function draw_from(mask, set, count, label, below, out)
  for _ = 1, count do
    local list = pixels(mask, function(i) return set[i] end)
    if #list == 0 then return end
    local at = list[below(#list) + 1]
    out[#out + 1] = click(mask, at, label)
    for i = 0, mask.h * mask.w - 1 do
      local dx, dy = distances(mask, i, at)
      if dx <= 20 and dy <= 20 then set[i] = nil end
    end
  end
end

-- The same to the nearest that `is` says, looking around in larger and larger squares.
local function nearest_around(mask, i, is)
  local x, y, best = i % mask.w, i // mask.w, math.huge
  for r = 1, math.max(mask.h, mask.w) do
    if r * r >= best then break end
    for v = math.max(0, y - r), math.min(mask.h - 1, y + r) do
      for u = math.max(0, x - r), math.min(mask.w - 1, x + r) do
        if is(v * mask.w + u) then best = math.min(best, (u - x) ^ 2 + (v - y) ^ 2) end
      end
    end
  end
  return best
end

local function deepest(mask, band, below, out)
  local list = pixels(mask, function(i) return band[i] end)
  if #list == 0 then return end
  local first = list[below(#list) + 1]
  out[#out + 1] = click(mask, first, 0)
  local depth = {}
  for _, i in ipairs(list) do depth[i] = nearest_around(mask, i, function(k) return not band[k] or k == first end) end
  for _ = 1, 9 do
    local best
    for i = 0, mask.h * mask.w - 1 do
      if depth[i] and depth[i] > (best and depth[best] or 0) then best = i end
    end
    if not best then return end
    out[#out + 1] = click(mask, best, 0)
    for i = 0, mask.h * mask.w - 1 do
      local dx, dy = distances(mask, i, best)
      if dx <= 40 and dy <= 40 then depth[i] = nil end
    end
  end
end

local function expected_random(mask, others, key)
  local below, out = draws(key), {}
  local object, outside = pixels(mask, function(i) return mask[i] end), pixels(mask, function(i) return not mask[i] end)
  if #object == 0 then return { click(mask, below(mask.h * mask.w), 0) } end
  local set = {}
  for _, i in ipairs(object) do set[i] = steps_to(mask, i, outside) > 5 or nil end
  if not next(set) then
    for _, i in ipairs(object) do set[i] = true end
  end
  draw_from(mask, set, 1 + below(5), 1, below, out)
  local rule = below(3)
  if rule == 1 then
    local count = below(6)
    for _, other in ipairs(others) do
      local of = {}
      for i = 0, mask.h * mask.w - 1 do of[i] = other[i] and not mask[i] or nil end
      draw_from(mask, of, count, 0, below, out)
    end
    return out, rule
  end
  local band = {}
  for _, i in ipairs(outside) do
    band[i] = steps_to(mask, i, object) > 5 and nearest(mask, i, object) <= 1600 or nil
  end
  if rule == 2 then deepest(mask, band, below, out) else draw_from(mask, band, below(11), 0, below, out) end
  return out, rule
end

-- ---- section 3, iterative clicks ----

local function regions(mask, wrong)
  local of, count = {}, 0
  for start = 0, mask.h * mask.w - 1 do
    if wrong[start] and not of[start] then
      count = count + 1
      of[start] = count
      local open = { start }
      while #open > 0 do
        local at = table.remove(open)
        for i = 0, mask.h * mask.w - 1 do
          local dx, dy = distances(mask, i, at)
          if wrong[i] and not of[i] and dx <= 1 and dy <= 1 then
            of[i] = count
            open[#open + 1] = i
          end
        end
      end
    end
  end
  return of, count
end

local function expected_iterative(mask, found, earlier, key)
  local wrong = {}
  for i = 0, mask.h * mask.w - 1 do wrong[i] = (mask[i] or false) ~= (found[i] or false) or nil end
  local of, count = regions(mask, wrong)
  for _, one in ipairs(earlier) do of[one[2] * mask.w + one[1]] = nil end
  local most, best = 0, nil
  for region = 1, count do
    local size = #pixels(mask, function(i) return of[i] == region end)
    if size > most then most, best = size, region end
  end
  if not best then return nil end
  local function border(i)
    local x, y = i % mask.w, i // mask.w
    return x == 0 or y == 0 or x == mask.w - 1 or y == mask.h - 1
  end
  local within = pixels(mask, function(i) return of[i] == best and not border(i) end)
  if #within == 0 then within = pixels(mask, function(i) return of[i] == best end) end
  local is = {}
  for _, i in ipairs(within) do is[i] = true end
  local rest, deep, list = pixels(mask, function(i) return not is[i] end), 0, {}
  for _, i in ipairs(within) do
    local depth = nearest(mask, i, rest)
    if depth > deep then deep, list = depth, {} end
    if depth == deep then list[#list + 1] = i end
  end
  local at = list[draws(key)(#list) + 1]
  return click(mask, at, mask[at] and 1 or 0), #list
end

describe("random clicks", function()
  it("are those of the definition", function()
    local rules = { [0] = 0, 0, 0 }
    for round = 1, 160 do
      local h, w = 1 + random.below(31, round, 22), 1 + random.below(32, round, 22)
      local mask = random_mask(h, w, random.key(33, round), round % 4, round % 3)
      local others = {}
      for k = 1, round % 4 do others[k] = random_mask(h, w, random.key(34, round, k), 1, 2) end
      local bytes = {}
      for k, other in ipairs(others) do bytes[k] = bytes_of(other) end
      local expected, rule = expected_random(mask, others, round)
      equal(clicks.random(bytes_of(mask), round, bytes), expected, ("round %d"):format(round))
      if rule then rules[rule] = rules[rule] + 1 end
      local most = 1 + round % 5
      equal(clicks.random(bytes_of(mask, "\1"), round, bytes, most), table.move(expected, 1, math.min(most, #expected),
        1, {}))
    end
    for rule = 0, 2 do assert(rules[rule] > 30, "each rule is met") end
  end)
  it("keep to the band of a small object in a large picture", function()
    local seen = { [0] = 0, 0, 0 }
    for round = 1, 32 do
      local h, w = 9, 110
      if round % 2 == 0 then h, w = w, h end
      local mask = random_mask(h, w, random.key(35, round), 0, 2)
      local expected, rule = expected_random(mask, {}, round)
      equal(clicks.random(bytes_of(mask), round), expected)
      seen[rule] = seen[rule] + #expected
    end
    assert(seen[0] > 8 and seen[2] > 8, "outside clicks are met")
  end)
  it("are ten at most around a long object, at the deepest places", function()
    for across = 1, 2 do
      local mask, met = { h = across == 1 and 9 or 450, w = across == 1 and 450 or 9 }, 0
      for i = 0, 449 do mask[across == 1 and i or 9 * i] = true end
      for round = 1, 60 do
        -- The rule is met where all clicks outside but the first are as far from the object as they can be.
        local found, far = clicks.random(bytes_of(mask), round), 0
        for _, one in ipairs(found) do far = far + (one[3] == 0 and one[3 - across] == 8 and 1 or 0) end
        if far >= 8 and met < 1 then
          met = met + 1
          local expected, rule = expected_random(mask, {}, round)
          equal({ found, rule }, { expected, 2 })
          equal(far >= 9, true)
        end
      end
      equal(met, 1)
    end
  end)
  it("are 1 to 5 inside, all equally likely, where there is room", function()
    local mask = { h = 200, w = 300 }
    for i = 0, mask.h * mask.w - 1 do mask[i] = true end
    local truth, counts, sum = bytes_of(mask), { 0, 0, 0, 0, 0 }, 0
    for round = 1, 250 do
      local n = #clicks.random(truth, random.key(36, round))
      counts[n] = counts[n] + 1
    end
    for n = 1, 5 do sum = sum + (counts[n] - 50) ^ 2 / 50 end
    assert(sum < 4 + 4 * math.sqrt(8), ("chi-square %g"):format(sum))
  end)
end)

describe("iterative clicks", function()
  it("are those of the definition", function()
    local ties, none = 0, 0
    for round = 1, 200 do
      local h, w = 1 + random.below(41, round, 14), 1 + random.below(42, round, 14)
      local mask = random_mask(h, w, random.key(43, round), round % 3, round % 4)
      local found = random_mask(h, w, random.key(round % 5 == 0 and 43 or 44, round), round % 3, round % 4)
      local earlier = {}
      for k = 1, round % 6 do earlier[k] = click(mask, random.below(random.key(45, round), k, h * w), 1) end
      local expected, equals = expected_iterative(mask, found, earlier, round)
      equal(clicks.iterative(bytes_of(mask), bytes_of(found), earlier, round), expected, ("round %d"):format(round))
      none, ties = none + (expected and 0 or 1), ties + ((equals or 0) > 1 and 1 or 0)
    end
    assert(none > 10 and ties > 50, "both are met")
  end)
  it("are refused outside the mask", function()
    local mask = tensor.zeros({ 4, 5 }, "u8")
    equal(pcall(clicks.iterative, mask, mask, { { 5, 0, 1 } }, 0), false)
    equal(pcall(clicks.iterative, mask, mask, { { 0, -1, 1 } }, 0), false)
    equal(pcall(clicks.iterative, mask, tensor.zeros({ 5, 4 }, "u8"), {}, 0), false)
    equal(clicks.iterative(mask, mask, {}, 0), nil)
  end)
end)

describe("clicks on what is wrong", function()
  local function expected(mask, found, key)
    local list = pixels(mask, function(i) return (mask[i] or false) ~= (found[i] or false) end)
    if #list == 0 then list = pixels(mask, function(i) return not mask[i] end) end
    if #list == 0 then list = pixels(mask, function() return true end) end
    local at = list[draws(key)(#list) + 1]
    return click(mask, at, mask[at] and 1 or 0)
  end
  it("are those of the definition", function()
    for round = 1, 200 do
      local h, w = 1 + random.below(51, round, 9), 1 + random.below(52, round, 9)
      local mask = random_mask(h, w, random.key(53, round), round % 4, round % 3)
      local found = random_mask(h, w, random.key(round % 3 == 0 and 53 or 54, round), round % 4, round % 3)
      equal(clicks.wrong(bytes_of(mask), bytes_of(found), round), expected(mask, found, round))
    end
  end)
  it("are on any pixel as often, by chi-square", function()
    local mask, found, counts, sum = { h = 4, w = 5 }, { h = 4, w = 5 }, {}, 0
    for i = 0, 11 do mask[i] = true end
    for i = 6, 17 do found[i] = true end
    local truth, said = bytes_of(mask), bytes_of(found)
    for round = 1, 1200 do
      local one = clicks.wrong(truth, said, random.key(55, round))
      local at = one[2] * 5 + one[1]
      equal(one[3], at < 6 and 1 or 0)
      counts[at] = (counts[at] or 0) + 1
    end
    for _, count in pairs(counts) do sum = sum + (count - 100) ^ 2 / 100 end
    equal(counts[8], nil)
    assert(sum < 11 + 4 * math.sqrt(22), ("chi-square %g"):format(sum))
  end)
end)

describe("a pixel picked", function()
  it("has the value", function()
    for round = 1, 100 do
      local values, list = {}, {}
      for i = 1, 30 do
        values[i] = random.below(random.key(61, round), i, 4)
        if values[i] == round % 5 then list[#list + 1] = i - 1 end
      end
      local mask = tensor.frombytes(string.char(table.unpack(values)), "u8", { 5, 6 })
      local x, y = clicks.pick(mask, round, round % 5)
      if #list == 0 then equal(x, nil) else
        local at = list[random.below(round, 0, #list) + 1]
        equal({ x, y }, { at % 6, at // 6 })
      end
      equal(clicks.highest(mask), math.max(table.unpack(values)))
    end
  end)
end)

describe("views of masks", function()
  it("are clicked on as copies of them are", function()
    for round = 1, 20 do
      local wide = random_mask(9, 14, random.key(91, round), 2, 3)
      local found = random_mask(9, 14, random.key(92, round), 2, 3)
      local function cut(mask)
        local part = { h = 6, w = 5 }
        for i = 0, 29 do part[i] = mask[(i // 5 + 2) * 14 + i % 5 + 7] end
        return part, bytes_of(mask):slice(1, 2, 6):slice(2, 7, 5)
      end
      local truth, view = cut(wide)
      local said, view_said = cut(found)
      equal(clicks.random(view, round, { view_said }), clicks.random(bytes_of(truth), round, { bytes_of(said) }))
      equal(clicks.iterative(view, view_said, {}, round), clicks.iterative(bytes_of(truth), bytes_of(said), {}, round))
      equal(clicks.wrong(view, view_said, round), clicks.wrong(bytes_of(truth), bytes_of(said), round))
      equal({ clicks.pick(view, round) }, { clicks.pick(bytes_of(truth), round) })
      equal(prompts.box(view), prompts.box(bytes_of(truth)))
      equal(prompts.union { view, view_said }:equal(prompts.union { bytes_of(truth), bytes_of(said) }), true)
      local packed = {}
      for i = 0, 9 * 14 - 1 do packed[i + 1] = string.pack("<i4", wide[i] and 1 + i % 3 or 0) end
      local labels = tensor.frombytes(table.concat(packed), "i32", { 9, 14 }):slice(1, 2, 6):slice(2, 7, 5)
      local copy = tensor.frombytes(labels:tobytes(), "i32", { 6, 5 })
      local function target(of)
        return prompts.create({ mode = "msa" }).first { labels = of, key = { seed = 1, step = 1, image = round } }
      end
      equal(target(labels).target:equal(target(copy).target), true)
    end
  end)
end)

describe("what logits say", function()
  it("is where they are above 0 when enlarged", function()
    for round = 1, 40 do
      local h, w, H, W = 1 + round % 4, 1 + round % 5, 1 + round % 13, 1 + round % 11
      local t = random.normals(random.key(62, round), { h, w }, 1)
      local found = clicks.found(t, H, W):totable()
      local function at(out, o, n)
        local place = math.max(0, (o + 0.5) * n / out - 0.5)
        local low = math.tointeger(place // 1)
        return low, math.min(low + 1, n - 1), place - low
      end
      for y = 0, H - 1 do
        for x = 0, W - 1 do
          local y0, y1, v = at(H, y, h)
          local x0, x1, u = at(W, x, w)
          local value = (1 - v) * ((1 - u) * t:get(y0, x0) + u * t:get(y0, x1))
            + v * ((1 - u) * t:get(y1, x0) + u * t:get(y1, x1))
          equal(found[y * W + x + 1], value > 0 and 255 or 0)
        end
      end
    end
  end)
end)

-- ---- prompters ----

local function context_of(mask, image, more)
  local context = { truth = mask and bytes_of(mask), key = { seed = 5, step = 2, image = image } }
  for name, value in pairs(more or {}) do context[name] = value end
  return context
end

local function key(image, use, ...) return uses.key({ seed = 5, step = 2, image = image }, use, ...) end

-- Logits [M,h,w] as a network might say them, and predicted IoU.
local function said(round, masks, side)
  return random.normals(random.key(71, round), { masks, side, side }, 1), random.uniform(random.key(72, round),
    { masks }, 0, 1)
end

local square = { h = 24, w = 24 }
for y = 5, 17 do
  for x = 3, 12 do square[y * 24 + x] = true end
end
local empty = { h = 24, w = 24 }

describe("MSA's prompts", function()
  it("are a click on the highest pixels, one mask", function()
    local prompter = prompts.create { mode = "msa" }
    equal(prompter.rounds, 1)
    for image = 0, 40 do
      local values, list = {}, {}
      for i = 1, 48 do
        values[i] = 3 * random.below(random.key(73, image), i, 5)
        if values[i] == 12 then list[#list + 1] = i - 1 end
      end
      local context = { truth = tensor.frombytes(string.char(table.unpack(values)), "u8", { 6, 8 }),
        key = { seed = 5, step = 2, image = image } }
      local at = list[random.below(key(image, "click", 0, 0, 0), 0, #list) + 1]
      equal(prompter.first(context), { points = { { at % 8, at // 8, 1 } }, multimask = false, round = 0 })
      equal(prompter.next(context, (said(0, 1, 4))), nil)
    end
  end)
  it("are a click labelled 0 anywhere on an empty mask", function()
    local counts = {}
    for image = 0, 299 do
      local point = prompts.create({ mode = "msa" }).first(context_of(empty, image)).points[1]
      equal(point[3], 0)
      local quarter = point[1] // 12 + 2 * (point[2] // 12)
      counts[quarter] = (counts[quarter] or 0) + 1
    end
    for quarter = 0, 3 do assert(counts[quarter] > 45, "all of the picture is met") end
  end)
  it("of 2023 are on pixels that are 1, and refuse a mask without", function()
    local prompter = prompts.create { mode = "msa-2023", order = "rc" }
    local point = prompter.first(context_of(square, 3)).points[1]
    local straight = prompts.create({ mode = "msa-2023" }).first(context_of(square, 3)).points[1]
    equal(point, { straight[2], straight[1], 1 })
    equal(square[straight[2] * 24 + straight[1]], true)
    local soft = tensor.frombytes(("\254"):rep(12), "u8", { 3, 4 })
    refuses(function() prompter.first { truth = soft, name = "scan.png", key = { seed = 1, step = 0, image = 0 } } end,
      "scan.png: mask: expected a pixel that is 255", "found the highest 254")
  end)
  it("of a volume's slice choose its class, and click inside where it is empty", function()
    local prompter, met = prompts.create { mode = "msa" }, {}
    for slice = 0, 60 do
      local values = {}
      for i = 0, 19 do values[i + 1] = slice % 7 == 0 and 0 or random.below(random.key(74, slice), i, 4) end
      local packed = {}
      for i, v in ipairs(values) do packed[i] = string.pack("<i4", v) end
      local labels = tensor.frombytes(table.concat(packed), "i32", { 4, 5 })
      local prompt = prompter.first { labels = labels, slice = slice, key = { seed = 5, step = 2, image = 1 } }
      local x, y, label = table.unpack(prompt.points[1])
      equal(label, 1)
      local class = values[y * 5 + x + 1]
      if slice % 7 == 0 then
        equal({ prompt.class, prompt.target:is_zero() }, { nil, true })
      else
        met[class] = true
        equal(prompt.class, class)
        for i, v in ipairs(prompt.target:totable()) do equal(v, values[i] == class and 255 or 0) end
      end
    end
    equal(met, { true, true, true })
  end)
end)

describe("SAM's prompts", function()
  local function run(image, mask, options, masks)
    local prompter = prompts.create(options)
    local context = context_of(mask, image)
    local list, logits = { prompter.first(context) }, {}
    while true do
      local l, iou = said(image * 100 + #list, masks, 6)
      local prompt = prompter.next(context, l, iou)
      if not prompt then return list end
      list[#list + 1], logits[#list + 1] = prompt, { l, iou }
      local best, most = 0, -1
      for i, v in ipairs(iou:totable()) do
        if v > most then best, most = i - 1, v end
      end
      equal(prompt.mask:equal(l:slice(1, best, 1):reshape { 6, 6 }), true)
    end
  end
  it("are eleven: eight new clicks, two rounds without, the last of them", function()
    local boxes, silent = 0, {}
    for image = 0, 199 do
      local list = run(image, square, { mode = "sam" }, 3)
      equal(#list, 11)
      local boxed = list[1].box ~= nil
      boxes = boxes + (boxed and 1 or 0)
      equal(#list[1].points, boxed and 0 or 1)
      equal(list[1].mask, nil)
      equal(#list[11].points, #list[10].points)
      equal(#list[11].points, (boxed and 0 or 1) + 8)
      local without
      for k = 2, 10 do
        if #list[k].points == #list[k - 1].points then
          equal(without, nil)
          without = k - 1
        end
        equal(list[k].box, list[1].box)
        for i, point in ipairs(list[k - 1].points) do equal(list[k].points[i], point) end
      end
      silent[without] = (silent[without] or 0) + 1
      for _, prompt in ipairs(list) do equal(prompt.multimask, #prompt.points == 1 and not boxed) end
    end
    assert(math.abs(boxes - 100) < 29, "a box as often as a point")
    local sum = 0
    for k = 1, 8 do sum = sum + ((silent[k] or 0) - 25) ^ 2 / 25 end
    equal(silent[9], nil)
    assert(sum < 7 + 4 * math.sqrt(14), ("chi-square %g"):format(sum))
  end)
  it("click on what the enlarged logits get wrong", function()
    for image = 0, 30 do
      local prompter, context = prompts.create { mode = "sam" }, context_of(square, image, { target = 2, slice = 4 })
      local before = prompter.first(context)
      for round = 1, 10 do
        local logits, iou = said(round, 1, 6)
        local prompt = prompter.next(context, logits, iou)
        if #prompt.points > #before.points then
          local found = clicks.found(logits:reshape { 6, 6 }, 24, 24)
          equal(prompt.points[#prompt.points], clicks.wrong(context.truth, found, key(image, "wrong_click", 2, 4,
            round)))
        end
        before = prompt
      end
    end
  end)
  it("know a picture that does not fill the network's square", function()
    local wide = { h = 10, w = 24 }
    for i = 30, 90 do wide[i] = true end
    local context = context_of(wide, 8, { side = 24 })
    local prompter = prompts.create { mode = "sam" }
    prompter.first(context)
    local logits = said(3, 1, 6)
    prompter.next(context, logits)
    local prompt = prompter.next(context, logits)
    local found = clicks.found(logits:reshape { 6, 6 }, 24, 24):slice(1, 0, 10)
    for _, point in ipairs(prompt.points) do
      local x, y, label = table.unpack(point)
      equal({ y < 10, label == 1 }, { true, wide[y * 24 + x] or false })
    end
    local last = prompt.points[#prompt.points]
    equal((found:get(last[2], last[1]) > 0) ~= (wide[last[2] * 24 + last[1]] or false), true)
  end)
  it("of an empty mask begin outside", function()
    for image = 0, 20 do
      local prompt = prompts.create({ mode = "sam" }).first(context_of(empty, image))
      equal({ prompt.box, #prompt.points, prompt.points[1][3] }, { nil, 1, 0 })
    end
  end)
end)

describe("the mask that goes on", function()
  it("is that of highest predicted IoU, of equal ones the first", function()
    local logits = random.normals(1, { 3, 2, 2 }, 1)
    for expected, iou in pairs { [0] = { 2, 2, 1 }, { 1, 3, 3 }, { -3, -2, -1 } } do
      local chosen, number = prompts.chosen(logits, tensor.from(iou, { 3 }))
      equal({ number, chosen:equal(logits:slice(1, expected, 1):reshape { 2, 2 }) }, { expected, true })
    end
    equal(select(2, prompts.chosen(logits)), 0)
  end)
end)

describe("a box", function()
  it("is of first and last pixels", function()
    equal(prompts.box(bytes_of(square)), { 3, 5, 12, 17 })
    equal(prompts.box(bytes_of(empty)), nil)
  end)
  it("moves by 10 % of its side, by 20 pixels at most, within the picture", function()
    local box, squares, furthest, n = { 300, 200, 400, 220 }, { 0, 0, 0, 0 }, 0, 600
    for round = 1, n do
      local normal = prompts.noisy(box, "normal", random.key(81, round), 1000, 1000)
      for i = 1, 4 do
        local by, sd = normal[i] - box[i], i % 2 == 1 and 10 or 2
        equal(normal[i], math.max(0, box[i] + math.max(-20, math.min(20, sd * random.normal(random.key(81, round),
          i - 1)))))
        squares[i] = squares[i] + (by / sd) ^ 2
      end
      local uniform = prompts.noisy({ 100, 100, 900, 150 }, "uniform", random.key(82, round), 1000, 1000)
      for i, at in ipairs { 100, 100, 900, 150 } do
        furthest = math.max(furthest, math.abs(uniform[i] - at) / (i % 2 == 1 and 20 or 5))
      end
      local kept = prompts.noisy({ 0, 0, 19, 9 }, "normal", random.key(83, round), 10, 20)
      assert(kept[1] >= 0 and kept[2] >= 0 and kept[3] <= 19 and kept[4] <= 9 and kept[1] <= kept[3])
    end
    for i = 1, 4 do assert(math.abs(squares[i] / n - (i % 2 == 1 and 0.92 or 1)) < 0.25, squares[i] / n) end
    assert(furthest > 0.98 and furthest <= 1)
    equal(prompts.noisy({ 4, 4, 4, 4 }, "normal", 1, 9, 9), { 4, 4, 4, 4 })
  end)
end)

describe("the paper's prompts", function()
  it("are random clicks, then iterative ones, or random ones anew", function()
    local anew, images = 0, 60
    for image = 0, images - 1 do
      local prompter, context = prompts.create { mode = "paper", most = 12 }, context_of(square, image)
      local before = prompter.first(context)
      equal(before.points, clicks.random(context.truth, key(image, "random_clicks", 0, 0, 0), nil, 12))
      for round = 1, 3 do
        local logits = said(image + 10 * round, 1, 6)
        local prompt = prompter.next(context, logits)
        if random.unit(key(image, "start_over", 0, 0, round), 0) < 0.3 then
          anew = anew + 1
          equal({ prompt.points, prompt.mask }, { clicks.random(context.truth, key(image, "random_clicks", 0, 0,
            round), nil, 12) })
        else
          local found = clicks.found(logits:reshape { 6, 6 }, 24, 24)
          local click = #before.points < 12 and clicks.iterative(context.truth, found, before.points,
            key(image, "iterative_click", 0, 0, round))
          equal(prompt.points[#before.points + 1], click or nil)
          equal(prompt.mask:equal(logits:reshape { 6, 6 }), true)
        end
        before = prompt
      end
      equal(prompter.next(context, (said(0, 1, 6))), nil)
    end
    assert(math.abs(anew - 0.3 * 3 * images) < 4 * math.sqrt(0.21 * 3 * images), anew)
  end)
end)

describe("other prompts", function()
  it("are points, boxes, centres and texts", function()
    local point = prompts.create({ mode = "point" }).first(context_of(square, 1)).points[1]
    equal({ square[point[2] * 24 + point[1]], point[3] }, { true, 1 })
    local box = prompts.create({ mode = "box", noise = "uniform" }).first(context_of(square, 1))
    equal({ box.points, box.multimask, box.box }, { {}, false, prompts.noisy({ 3, 5, 12, 17 }, "uniform",
      key(1, "box", 0, 0, 0), 24, 24) })
    local prompter, context = prompts.create { mode = "centre", rounds = 2 }, context_of(square, 1)
    local first = prompter.first(context)
    equal({ first.points, first.multimask }, { { { 7, 9, 1 } }, true })
    local second = prompter.next(context, tensor.from({ -1, -1, -1, -1 }, { 1, 2, 2 }))
    equal({ second.points, second.multimask }, { { { 7, 9, 1 }, { 7, 9, 1 } }, false })
    local vector = tensor.from({ 1, 2 }, { 2 })
    local text = prompts.create({ mode = "text" }).first(context_of(square, 1, { text = vector }))
    equal({ text.points, text.text:equal(vector), text.multimask }, { {}, true, false })
    refuses(function() prompts.create({ mode = "text" }).first(context_of(square, 1)) end, "expected an embedding")
  end)
  it("may come without the last logits, or always with three masks", function()
    local prompter, context = prompts.create { mode = "paper", feedback = false, multimask = true },
      context_of(square, 1)
    equal(prompter.first(context).multimask, true)
    for round = 1, 3 do
      local prompt = prompter.next(context, (said(round, 1, 6)))
      equal({ prompt.mask, prompt.multimask }, { nil, true })
    end
  end)
  it("of a text that names several targets are for all their pixels", function()
    local a, b = random_mask(7, 9, 3, 1, 2), random_mask(7, 9, 4, 1, 2)
    for i, value in ipairs(prompts.union { bytes_of(a), bytes_of(b, "\1") }:totable()) do
      equal(value, (a[i - 1] or b[i - 1]) and 255 or 0)
    end
  end)
  it("are refused where there is no such thing", function()
    refuses(function() prompts.create { mode = "smam" } end, "mode", "found smam (did you mean sam?)")
    refuses(function() prompts.create { mode = "sam", rounds = 3 } end, "rounds: expected 11, as sam has, found 3")
    refuses(function() prompts.create { mode = "box", noise = "gauss" } end, "noise", "normal or uniform")
    refuses(function() prompts.create { mode = "msa", click_order = "rc" } end, "found click_order")
    refuses(function() uses.key({ seed = 0, step = 0, image = 0 }, "clik") end, "did you mean click?")
  end)
  it("are the same for the same key, and others for another", function()
    local function points(image, more)
      return prompts.create({ mode = "random" }).first(context_of(square, image, more)).points
    end
    equal(points(4), points(4))
    local seen, count = {}, 0
    for image = 0, 5 do
      for target = 0, 3 do
        for slice = 0, 3 do
          local point = prompts.create({ mode = "point" }).first(context_of(square, image, { target = target,
            slice = slice })).points[1]
          seen[point[2] * 24 + point[1]] = true
        end
      end
    end
    for _ in pairs(seen) do count = count + 1 end
    assert(count > 50, count) -- of 130 pixels, 96 drawn
  end)
  it("draw each use from numbers of its own", function()
    local seen = {}
    for name, number in pairs(uses.NUMBERS) do
      equal(seen[number], nil, name)
      seen[number] = true
    end
  end)
end)
