-- SPDX-License-Identifier: Apache-2.0
-- Augmentation: the grammar, each change against its definition pixel by pixel, probabilities; masks at a loss's size.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local native, random, tensor, resize = spec.host "msagen.augment", spec.host "msagen.random", spec.host "msagen.tensor",
  spec.host "msagen.resize"
if not (native and random and tensor and resize) then return end
local augment, targets, resamplers = require "train.augment", require "train.targets", require "emit.resamplers"

local function picture(of, ...)
  local shape, count, bytes = { ... }, 1, {}
  for _, side in ipairs(shape) do count = count * side end
  for i = 1, count do bytes[i] = string.char(random.below(random.key(of, 1), i, 256)) end
  return tensor.frombytes(table.concat(bytes), "u8", shape)
end

local function near(found, expected, by, what)
  assert(math.abs(found - expected) <= by, ("%s: expected %.17g, found %.17g"):format(what or "", expected, found))
end

describe("a plan", function()
  it("is read from a text", function()
    equal(augment.parse "none", {})
    equal(augment.parse "flip:0.5,rotate:10,scale:0.9..1.1@.25,shift:0.1@0.5", {
      ["flip-x"] = { chance = 0.5 }, ["flip-y"] = { chance = 0.5 }, ["flip-z"] = { chance = 0.5 },
      rotate = { chance = 1.0, low = -10.0, high = 10.0 }, scale = { chance = 0.25, low = 0.9, high = 1.1 },
      shift = { chance = 0.5, low = -0.1, high = 0.1 } })
    equal(augment.parse "mild", augment.parse "flip-x:0.5,rotate:10,scale:0.9..1.1,gain:0.1")
    equal(augment.parse "decathlon", augment.parse "flip-x:0.1,flip-y:0.1,flip-z:0.1,rot90:0.1,shift:0.1@0.5")
    equal(augment.parse "decathlon,gamma:0.5..2,crop:0.5..1".gamma, { chance = 1.0, low = 0.5, high = 2.0 })
  end)
  it("is refused where it is none", function()
    local function bad(text, ...)
      refuses(function() augment.parse(text) end, "--augment: ", ...)
    end
    bad("filp:0.5", "found filp (did you mean flip?)")
    bad("", "found an empty text")
    bad("flip:0.5,", "found an empty text")
    bad("flip", "flip: expected a probability from 0 to 1, found none")
    bad("flip:1.5", "flip: expected a probability from 0 to 1, found 1.5")
    bad("flip:0x1", "found 0x1")
    bad("flip:-0.5", "found -0.5")
    bad("rotate:ten", "rotate: expected a number from 0 to 180, found ten")
    bad("rotate:181", "found 181")
    bad("rotate:10@", "rotate: expected a probability behind @ from 0 to 1, found none")
    bad("rotate:10@2", "found 2")
    bad("scale:1.1", "scale: expected a range A..B of numbers from 0.1 to 10, found 1.1")
    bad("scale:1.1..0.9", "expected the lower number first, found 1.1..0.9")
    bad("scale:0..1", "scale: expected a number before .. from 0.1 to 10, found 0")
    bad("crop:0.5..2", "crop: expected a number behind .. from 0.05 to 1, found 2")
    bad("gamma:..", "gamma: expected a number before ..")
    bad("flip:0.5,flip-x:0.5", "flip-x: expected once, found twice")
    bad("mild,rotate:5", "rotate: expected once")
    bad("mild:2", "mild: expected no value, found 2")
    bad("none,flip:0.5", "none: expected it alone, found none,flip:0.5")
    bad("shift:inf", "found inf")
    refuses(function() augment.parse("gian:1", "train.lua: augment") end, "train.lua: augment: ", "did you mean gain?")
  end)
end)

describe("any text", function()
  it("is a plan, or refused in one line", function()
    local pieces = { "flip", "rotate", "scale", "crop", "none", "mild", ":", ",", "@", "..", "0.5", "1e9", "-1", "1",
      "\n", "\0", "\255", "%s", "gamma:0.5..2", (" "):rep(99) }
    local plans = 0
    for round = 1, 3000 do
      local parts = {}
      for i = 1, 1 + random.below(random.key(51, round), 0, 6) do
        parts[i] = pieces[1 + random.below(random.key(51, round), i, #pieces)]
      end
      local text = table.concat(parts)
      local ok, found = pcall(augment.parse, text)
      if ok then plans = plans + 1 else refuses(function() augment.parse(text) end, "--augment: ") end
      equal(type(found), "table")
    end
    assert(plans > 20, plans)
  end)
end)

-- ---- what is done to pixels ----

-- out[y][x] = source(y, x) of [slices][height][width][channels], through every element.
local function each(t, channels, y, check)
  local shape, values = t.shape, t:totable()
  local slices = y > 1 and shape[1] or 1
  local height, width = shape[y], shape[y + 1]
  local i = 0
  for z = 0, slices - 1 do
    for v = 0, height - 1 do
      for u = 0, width - 1 do
        for c = 0, channels - 1 do
          i = i + 1
          check(values[i], z, v, u, c)
        end
      end
    end
  end
end

describe("flips and quarter turns", function()
  it("move whole pixels, of slices alike", function()
    local t, mask = picture(1, 3, 4, 4, 3), picture(2, 3, 4, 4)
    local sources = {
      { { ["flip-x"] = true }, function(z, y, x) return z, y, 3 - x end },
      { { ["flip-y"] = true }, function(z, y, x) return z, 3 - y, x end },
      { { ["flip-z"] = true }, function(z, y, x) return 2 - z, y, x end },
      { { rot90 = 1 }, function(z, y, x) return z, 3 - x, y end },
      { { rot90 = 2 }, function(z, y, x) return z, 3 - y, 3 - x end },
      { { rot90 = 3 }, function(z, y, x) return z, x, 3 - y end },
      { { ["flip-x"] = true, rot90 = 1 }, function(z, y, x) return z, 3 - x, 3 - y end },
    }
    for k, one in ipairs(sources) do
      each(augment.picture(one[1], t), 3, 2, function(value, z, y, x, c)
        local w, v, u = one[2](z, y, x)
        equal(value, t:get(w, v, u, c), k)
      end)
      each(augment.mask(one[1], mask), 1, 2, function(value, z, y, x)
        equal(value, mask:get(one[2](z, y, x)), k)
      end)
    end
    equal(augment.picture({ ["flip-z"] = true }, picture(3, 2, 2, 3)):equal(picture(3, 2, 2, 3)), true)
  end)
  it("of a picture that is not square are two", function()
    local plan = augment.parse "rot90:1"
    for i = 1, 20 do equal(augment.draw(plan, i, 3, 4).rot90, 2) end
    local flat = augment.picture({ rot90 = 2 }, picture(4, 2, 3, 3))
    equal(flat:equal(picture(4, 2, 3, 3):flip(1):flip(2)), true)
  end)
end)

local function fixed(place)
  local whole = math.floor(place * 65536 + 0.5)
  return whole // 65536, math.tointeger(whole % 65536)
end

describe("a map", function()
  it("takes four pixels by weights in whole numbers, of masks the nearest", function()
    for round = 1, 30 do
      local h, w = 1 + round % 7, 1 + round % 5
      local t, map = picture(100 + round, 2, h, w, 3), {}
      for i = 1, 6 do map[i] = random.normal(random.key(9, round), i) * (i % 3 == 0 and 2 or 1) end
      local function at(z, y, x, c) return y >= 0 and y < h and x >= 0 and x < w and t:get(z, y, x, c) or 0 end
      each(native.warp(t, map), 3, 2, function(value, z, y, x, c)
        local u, a = fixed(map[1] * x + map[2] * y + map[3])
        local v, b = fixed(map[4] * x + map[5] * y + map[6])
        local sum = (65536 - b) * ((65536 - a) * at(z, v, u, c) + a * at(z, v, u + 1, c))
          + b * ((65536 - a) * at(z, v + 1, u, c) + a * at(z, v + 1, u + 1, c))
        equal(value, (sum + (1 << 31)) >> 32)
      end)
      local packed = {}
      for i = 1, 2 * h * w do packed[i] = string.pack("<i4", 1000 * i) end
      local labels = tensor.frombytes(table.concat(packed), "i32", { 2, h, w })
      each(native.nearest(labels, map), 1, 2, function(value, z, y, x)
        local u = math.floor(fixed(map[1] * x + map[2] * y + map[3] + 0.5))
        local v = math.floor(fixed(map[4] * x + map[5] * y + map[6] + 0.5))
        equal(value, v >= 0 and v < h and u >= 0 and u < w and labels:get(z, v, u) or 0)
      end)
    end
  end)
  it("of masks takes the later of two pixels that are as near", function()
    local mask = tensor.frombytes("\1\2\3\4\5\6", "u8", { 2, 3 })
    equal(native.nearest(mask, { 1, 0, 0.5, 0, 1, 0 }):totable(), { 2, 3, 0, 5, 6, 0 })
    equal(native.nearest(mask, { 1, 0, -0.5, 0, 1, -0.5 }):totable(), { 1, 2, 3, 4, 5, 6 })
    equal(native.nearest(mask, { 1, 0, -0.51, 0, 1, 0.5 }):totable(), { 0, 4, 5, 0, 0, 0 })
  end)
  it("of no change changes nothing", function()
    local t = picture(11, 6, 5, 3)
    equal(native.warp(t, { 1, 0, 0, 0, 1, 0 }):equal(t), true)
    local drawn = augment.draw(augment.parse "rotate:0,scale:1..1,crop:1..1,shift:0,gain:0,gamma:1..1", 3, 6, 5)
    assert(drawn.map and drawn.curve)
    equal(augment.picture(drawn, t):equal(t), true)
  end)
  it("turns by quarters as rot90 does", function()
    local t = picture(12, 7, 7, 3)
    for quarters = 1, 3 do
      local plan = augment.parse "rotate:0"
      plan.rotate = { chance = 1, low = 90.0 * quarters, high = 90.0 * quarters }
      equal(augment.picture(augment.draw(plan, 1, 7, 7), t):equal(augment.picture({ rot90 = quarters }, t)), true)
    end
  end)
  it("enlarges around the middle, or a window", function()
    local plan = augment.parse "scale:2..2"
    local map = augment.draw(plan, 1, 5, 9).map
    equal(map, { 0.5, 0.0, 2.0, -0.0, 0.5, 1.0 })
    for i = 1, 50 do
      local drawn = augment.draw(augment.parse "crop:0.5..0.8", i, 40, 60)
      local share = drawn.crop.share
      assert(share >= 0.5 and share < 0.8)
      for _, corner in ipairs { { -0.5, -0.5 }, { 59.5, 39.5 } } do
        local m, x, y = drawn.map, corner[1], corner[2]
        local u, v = m[1] * x + m[2] * y + m[3], m[4] * x + m[5] * y + m[6]
        assert(u >= -0.5 - 1e-9 and u <= 59.5 + 1e-9 and v >= -0.5 - 1e-9 and v <= 39.5 + 1e-9)
      end
      near(drawn.map[1], share, 1e-12)
    end
  end)
  it("turns content from x to y", function()
    local drawn = augment.draw({ rotate = { chance = 1, low = 30.0, high = 30.0 } }, 1, 101, 101)
    -- What was right of the middle by 40 is now 30 degrees below: the source of that place.
    local x, y = 50 + 40 * math.cos(math.rad(30)), 50 + 40 * math.sin(math.rad(30))
    near(drawn.map[1] * x + drawn.map[2] * y + drawn.map[3], 90, 1e-9)
    near(drawn.map[4] * x + drawn.map[5] * y + drawn.map[6], 50, 1e-9)
  end)
  it("is refused with other numbers", function()
    local t = picture(13, 2, 2, 3)
    for _, map in ipairs { { 1, 0, 0 }, { 1, 0, 0, 0, 1, 0 / 0 }, { 1, 0, 0, 0, 1, 1e7 } } do
      equal(pcall(native.warp, t, map), false)
    end
    equal(pcall(native.warp, picture(14, 2, 2), { 1, 0, 0, 0, 1, 0 }), false)
    equal(pcall(native.levels, t, "short"), false)
  end)
end)

describe("sine and cosine", function()
  it("are those of any angle, exact at quarters", function()
    for i = -800, 800 do
      local degrees = i * 0.93
      local c, s = native.turn(degrees)
      near(c, math.cos(math.rad(degrees)), 3e-15, degrees)
      near(s, math.sin(math.rad(degrees)), 3e-15, degrees)
    end
    for i, expected in ipairs { { 0, 1 }, { -1, 0 }, { 0, -1 }, { 1, 0 } } do
      local c, s = native.turn(90 * i)
      equal({ c + 0.0 == expected[1], s + 0.0 == expected[2] }, { true, true })
    end
  end)
end)

describe("a curve", function()
  it("is power, product and sum of levels", function()
    for level = 0, 255 do
      -- Exact: level^2 / 255 is never in the middle of two numbers.
      equal(native.curve(2, 1, 0):byte(level + 1), (2 * level * level + 255) // 510)
      equal(native.curve(1, 1, 0):byte(level + 1), level)
      equal(native.curve(1, 0.5, 0):byte(level + 1), (level + 1) // 2)
      equal(native.curve(1, 1, 0.2):byte(level + 1), math.min(255, level + 51))
      equal(native.curve(1, 1, -0.2):byte(level + 1), math.max(0, level - 51))
      near(native.curve(0.7, 1.2, -0.05):byte(level + 1),
        255 * math.max(0, math.min(1, 1.2 * (level / 255) ^ 0.7 - 0.05)), 0.5 + 1e-9)
    end
    local t, curve = picture(21, 3, 4, 3), native.curve(0.5, 0.9, 0.1)
    each(native.levels(t, curve), 3, 1, function(value, _, y, x, c) equal(value, curve:byte(t:get(y, x, c) + 1)) end)
  end)
end)

describe("every machine", function()
  it("has the same bits", function()
    -- Of x86-64 (gcc, clang, with and without FMA), AArch64 and ARMv7.
    local parts, t = {}, picture(61, 2, 32, 32, 3)
    for i = 1, 300 do
      local angle = 1000 * random.unit(62, i) - 500
      parts[#parts + 1] = string.pack("<dd", native.turn(angle))
      parts[#parts + 1] = native.curve(0.2 + 3 * random.unit(63, i), 0.8 + 0.4 * random.unit(64, i), 0.1)
    end
    local plan = augment.parse "flip:0.5,rot90:0.5,rotate:40,scale:0.7..1.4,crop:0.6..1,gamma:0.5..2,gain:0.2,shift:0.1"
    for i = 1, 20 do
      parts[#parts + 1] = augment.picture(augment.draw(plan, random.key(65, i), 32, 32), t):tobytes()
    end
    equal(require("msagen.sha256").hex(table.concat(parts)),
      "7909d7361ebf043a9d362d3afff07dfed364fa09e65cea3eba3f3b484328482a")
  end)
end)

describe("what is drawn", function()
  it("has the probabilities of the plan", function()
    local plan, n, counts = augment.parse "flip:0.1,rot90:0.1,rotate:10@0.7,shift:0.1@0.5,gamma:0.8..1.25", 1500, {}
    for i = 1, n do
      local drawn = augment.draw(plan, random.key(31, i), 8, 8)
      for name in pairs(drawn) do counts[name] = (counts[name] or 0) + 1 end
      assert(not drawn.rotate or math.abs(drawn.rotate) <= 10)
      assert(not drawn.shift or math.abs(drawn.shift) <= 0.1)
      assert(drawn.gamma >= 0.8 and drawn.gamma < 1.25)
      assert(not drawn.rot90 or drawn.rot90 >= 1 and drawn.rot90 <= 3)
    end
    for name, p in pairs { ["flip-x"] = 0.1, ["flip-y"] = 0.1, ["flip-z"] = 0.1, rot90 = 0.1, rotate = 0.7,
      shift = 0.5, gamma = 1 } do near(counts[name], n * p, 4 * math.sqrt(n * p * (1 - p)), name) end
  end)
  it("does not depend on other steps, and is the same again", function()
    local alone, among = augment.parse "rotate:10", augment.parse "flip:0.5,rotate:10,crop:0.5..1,gain:0.2"
    for i = 1, 30 do
      equal(augment.draw(alone, i, 8, 8).rotate, augment.draw(among, i, 8, 8).rotate)
      equal(augment.draw(among, i, 8, 8), augment.draw(among, i, 8, 8))
    end
    equal(augment.draw(augment.parse "none", 1, 8, 8), {})
  end)
  it("moves a mask as its picture", function()
    -- A square in the picture, and as the mask: changed alike they agree but at the edges.
    local bytes, colours = {}, {}
    for i = 0, 64 * 64 - 1 do
      local inside = i % 64 >= 12 and i % 64 < 40 and i // 64 >= 20 and i // 64 < 50
      bytes[i + 1] = inside and "\255" or "\0"
      colours[i + 1] = bytes[i + 1]:rep(3)
    end
    local t, mask = tensor.frombytes(table.concat(colours), "u8", { 64, 64, 3 }), tensor.frombytes(table.concat(bytes),
      "u8", { 64, 64 })
    local plan = augment.parse "flip:0.5,rot90:0.5,rotate:40,scale:0.7..1.4,crop:0.6..1"
    for i = 1, 12 do
      local drawn = augment.draw(plan, random.key(41, i), 64, 64)
      local changed = augment.mask(drawn, mask)
      local inside = 0
      each(augment.picture(drawn, t), 3, 1, function(value, _, y, x)
        local is = changed:get(y, x)
        inside = inside + is // 255
        if value > 192 then equal(is, 255) elseif value < 48 then equal(is, 0) end
      end)
      assert(inside > 300)
    end
  end)
end)

describe("masks at a loss's size", function()
  it("are Pillow's bilinear over 255, or its half", function()
    for round = 1, 12 do
      local h, w, side = 3 + 5 * (round % 4), 2 + 7 * (round % 3), 2 + round
      local mask = picture(200 + round, h, w)
      local at = resamplers.bilinear(function(x, y) return mask:get(y, x) end, w, h, side, side)
      local soft, binary = targets.soft(mask, side), targets.binary(mask, side)
      equal({ soft.dtype, soft.shape, binary.dtype }, { "f32", { side, side }, "u8" })
      for y = 0, side - 1 do
        for x = 0, side - 1 do
          local level = at(x, y, 0)
          equal(soft:get(y, x), (string.unpack("<f", string.pack("<f", level / 255))))
          equal(binary:get(y, x), level >= 128 and 1 or 0)
        end
      end
    end
    local levels = {}
    for k = 0, 255 do levels[k + 1] = string.char(k) end
    local all = targets.soft(tensor.frombytes(table.concat(levels), "u8", { 16, 16 }), 16):totable()
    for k = 0, 255 do equal(all[k + 1], (string.unpack("<f", string.pack("<f", k / 255)))) end
  end)
  it("are Pillow's bicubic where clicks are drawn", function()
    -- Digests of what Pillow 9.4 makes of the same bytes.
    for i, one in ipairs {
      { 5, 7, 9, 4, "20f0e04c84622ea5646a76ffefe2a52f793782a2cd6c32fc13f3c79e6cc9d77a" },
      { 64, 48, 112, 112, "4a0a9438ea84b48c113ea93d677fc4a37f22756c18d238e24a6e179bd4d8a423" },
      { 100, 120, 33, 57, "d00c553ae198d8df723babe03aed133e7f6530efc18fc65588d1f4a2e28eef2e" },
      { 31, 31, 31, 62, "0a1e6e4ba084c5e6d4f9d14d5626e0dfdd9f710d1ef372685db10324008a32fa" },
      { 1, 9, 5, 5, "2111299c8646a3f78e88177e424e7a16e3297bbb3ba5c53abdc27994014ead8e" },
      { 300, 17, 8, 200, "7363f90db4880637d0a371446c78277418edd47b8c508a1512956289413f0683" },
    } do
      local h, w, out_h, out_w, digest = table.unpack(one)
      local bytes = {}
      for k = 0, h * w - 1 do
        bytes[k + 1] = string.char(random.below(i, k, 2) == 0 and random.below(i + 99, k, 256)
          or 255 * random.below(i + 50, k, 2))
      end
      local mask = tensor.frombytes(table.concat(bytes), "u8", { h, w })
      equal(require("msagen.sha256").hex(resize.mask(mask, out_h, out_w, "bicubic"):tobytes()), digest)
      if out_h == out_w then
        equal(targets.clickable(mask, out_h):equal(resize.mask(mask, out_h, out_w, "bicubic")), true)
      end
    end
    local t = picture(304, 2, 9, 6, 3)
    local large = resize.picture(t, 14, 13, "bicubic")
    for c = 0, 2 do
      equal(large:slice(4, c, 1):reshape { 2, 14, 13 }:equal(resize.mask(t:slice(4, c, 1):reshape { 2, 9, 6 }, 14, 13,
        "bicubic")), true)
    end
  end)
  it("are those of each slice of a volume", function()
    local volume = picture(301, 3, 9, 7)
    local soft = targets.soft(volume, 5)
    equal(soft.shape, { 3, 5, 5 })
    for z = 0, 2 do
      equal(soft:slice(1, z, 1):reshape { 5, 5 }:equal(targets.soft(volume:slice(1, z, 1):reshape { 9, 7 }, 5)), true)
    end
  end)
  it("come with pictures, by each of the resizers", function()
    for _, how in ipairs { "bilinear", "spline", "area", "nearest" } do
      local t = picture(302, 2, 11, 8, 3)
      local small = resize.picture(t, 6, 5, how)
      equal(small.shape, { 2, 6, 5, 3 })
      local at = resamplers[how](function(x, y, c) return t:get(1, y, x, c) end, 8, 11, 5, 6)
      for y = 0, 5 do
        for x = 0, 4 do
          for c = 0, 2 do equal(small:get(1, y, x, c), at(x, y, c), how) end
        end
      end
    end
    equal(pcall(resize.picture, picture(303, 4, 4), 2, 2), false)
    equal(pcall(resize.mask, picture(303, 4, 4), 2, 2, "cubic"), false)
    refuses(function() resize.mask(picture(303, 4, 4), 0, 2) end, "1 to 16384", "found 4 to resize to 0")
  end)
end)
