-- SPDX-License-Identifier: Apache-2.0
-- Truth masks as people have them: what is inside follows from the labels, or is refused with the labels found.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys, npy, tensor, image = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor",
  spec.host "msagen.image"
if not (sys and npy and tensor and image) then return end

local truth = require "run.truth"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-truth-")
sys.cleanup(work)

local W, H = 12, 10
local picture = tensor.zeros({ 1, H, W, 3 }, "u8")

-- A mask drawn by function(x, y) -> value, or r, g, b; its file.
local function drawn(f, channels)
  local bytes = {}
  for y = 0, H - 1 do
    for x = 0, W - 1 do bytes[#bytes + 1] = string.char(f(x, y)) end
  end
  local path = work .. "/mask.png"
  image.write_png(path, tensor.frombytes(table.concat(bytes), "u8", channels == 3 and { H, W, 3 } or { H, W }))
  return path
end

local function arrayed(t)
  npy.write(work .. "/mask.npy", t)
  return work .. "/mask.npy"
end

-- How many pixels are inside.
local function inside(path, ...)
  local wanted = {}
  for i, text in ipairs { ... } do wanted[i] = assert(truth.inside(text)) end
  local mask = truth.read(path, picture, #wanted > 0 and wanted or nil, 1)
  equal({ mask.shape, mask.dtype }, { { 1, H, W }, "u8" })
  local _, sum = image.overlap(mask, mask)
  return sum // 2
end

local function left(value) return function(x) return x < 4 and value or 0 end end

describe("what is said of a truth", function()
  local function notes(path, turned, wanted)
    local _, list = truth.read(path, picture, wanted and { assert(truth.inside(wanted)) }, turned or 1)
    return list
  end
  local function outside(value) return function(x, y) return x == 5 and y > 2 and y < 7 and 0 or value end end

  it("is nothing where a part of it is inside", function()
    equal(notes(drawn(left(255))), {})
  end)

  it("is that black and white may be exchanged", function()
    equal(notes(drawn(outside(255))),
      { "truth: 97 % of it is inside, all corners too: if its black is inside, give --truth-inside 0" })
    equal(inside(drawn(outside(255)), "0"), 4)
    equal(notes(drawn(function(x, y) return outside(255)(x, y), 0, 0 end, 3)),
      { "truth: 97 % of it is inside, all corners too: if its black is inside, give --truth-inside 0,0,0" })
    equal(notes(drawn(outside(255)), 1, "255"), {})
    equal(notes(drawn(function() return 255 end)), { "truth: all of it is inside" })
  end)

  it("is that image and truth are turned differently, as sizes do not tell it of half a turn", function()
    equal(notes(drawn(left(255)), 3),
      { "truth: its EXIF orientation is 1, the image's 3: expected as large as the image is shown, and as it is "
      .. "shown" })
  end)
end)

describe("a truth of two values", function()
  it("is inside where it is not 0", function()
    for _, value in ipairs { 1, 7, 127, 128, 255 } do equal(inside(drawn(left(value))), 4 * H, tostring(value)) end
    for dtype, format in pairs { bool = "B", u8 = "B", i16 = "<i2", i32 = "<i4", i64 = "<i8", f32 = "<f",
      f64 = "<d" } do
      local row = string.pack(format, 1) .. string.pack(format, 0):rep(W - 1)
      local t = tensor.frombytes(row:rep(H), dtype, { H, W })
      equal(inside(arrayed(t)), H, dtype)
      equal(inside(arrayed(t:reshape { 1, H, W })), H, dtype)
    end
  end)

  it("of which none is 0 is parted in the middle, or refused", function()
    equal(inside(drawn(function(x) return x < 4 and 200 or 100 end)), 4 * H)
    refuses(function() inside(drawn(function(x) return x < 4 and 2 or 1 end)) end, "mask.png", "values 1, 2",
      "--truth-inside")
    equal(inside(drawn(function(x) return x < 4 and 2 or 1 end), "2"), 4 * H)
  end)

  it("has something inside", function()
    refuses(function() inside(drawn(left(0))) end, "mask.png", "something inside", "no pixel over 127", "values: 0")
    refuses(function() inside(drawn(left(9)), "8") end, "--truth-inside", "values: 0, 9")
    equal(inside(drawn(function() return 255 end)), W * H)
  end)
end)

describe("a truth in shades of grey", function()
  it("is parted in the middle where they are edges", function()
    equal(inside(drawn(function(x) return math.min(255, x * 25) end)), 6 * H) -- 150 and more
  end)

  it("is refused where they are areas, or few: classes", function()
    refuses(function() inside(drawn(function(x) return x // 4 * 100 end)) end, "values 0, 100, 200", "--truth-inside V")
    -- A label for what is to be ignored, as in many sets.
    refuses(function() inside(drawn(function(x, y) return x < 4 and 255 or y == 3 and 1 or 0 end)) end, "0, 255, 1")
    refuses(function() inside(drawn(function(x, y) return x < 6 and y < 6 and 90 or x * y * 2 % 256 end)) end, "more",
      "--truth-inside")
    equal(inside(drawn(function(x) return x // 4 * 100 end), "100"), 4 * H)
    equal(inside(drawn(function(x) return x // 4 * 100 end), "100", "200"), 8 * H)
    equal(inside(drawn(function(x) return x // 4 * 100 end), "50..150"), 4 * H)
    equal(inside(drawn(function(x) return x // 4 * 100 end), "any"), 8 * H)
  end)
end)

describe("a truth of whole numbers", function()
  it("has classes, and no middle", function()
    local t = tensor.frombytes(("\0\1\2\0\0\0\0\0\0\0\0\0"):rep(H), "u8", { H, W }):scale(1)
    refuses(function() inside(arrayed(t)) end, "mask.npy", "values 0, 1, 2", "--truth-inside")
    equal(inside(arrayed(t), "2"), H)
    refuses(function() inside(arrayed(t:scale(0.3))) end, "mask.npy", "whole numbers")
    refuses(function() inside(arrayed(t:reshape { 1, 1, H, W })) end, "12x10", "[1,1,10,12]")
    refuses(function() inside(arrayed(t:reshape { W, H })) end, "12x10", "10x12")
  end)
end)

describe("a coloured truth", function()
  local function red(x) if x < 4 then return 255, 0, 0 end return 0, 0, 0 end
  local function two(x) if x < 4 then return 255, 0, 0 elseif x < 5 then return 0, 0, 255 end return 0, 0, 0 end
  local function on_white(x) if x < 4 then return 255, 0, 0 end return 255, 255, 255 end

  it("of one colour on black is inside where it has that", function()
    equal(inside(drawn(red, 3)), 4 * H)
    -- not in the red channel of the others
    equal(inside(drawn(function(x) return x < 4 and 9 or 0, 0, 0 end, 3)), 4 * H)
    equal(inside(drawn(function(x) return 0, 0, x < 4 and 128 or 0 end, 3)), 4 * H)
  end)

  it("of several is refused with their list", function()
    refuses(function() inside(drawn(two, 3)) end, "mask.png", "0,0,0; 255,0,0; 0,0,255", "--truth-inside R,G,B")
    refuses(function() inside(drawn(on_white, 3)) end, "255,255,255; 255,0,0")
    equal(inside(drawn(two, 3), "0,0,255"), H)
    equal(inside(drawn(two, 3), "255,0,0", "0,0,255"), 5 * H)
    equal(inside(drawn(two, 3), "any"), 5 * H)
    equal(inside(drawn(on_white, 3), "255,0,0"), 4 * H)
    refuses(function() inside(drawn(two, 3), "255") end, "--truth-inside", "R,G,B")
    refuses(function() inside(drawn(left(9)), "1,2,3") end, "--truth-inside", "no colours")
  end)

  it("in shades of grey is grey", function()
    equal(inside(drawn(function(x) local v = x < 4 and 1 or 0 return v, v, v end, 3)), 4 * H)
  end)
end)

describe("--truth-inside", function()
  it("is a value, values, a colour or any", function()
    equal(truth.inside "7", { grey = true, 7, 7 })
    equal(truth.inside "7..9", { grey = true, 7, 9 })
    equal(truth.inside "any", { any = true })
    equal(truth.inside "1,2,3", { 0x1010203, 0x1010203 })
    for _, text in ipairs { "", "x", "-1", "9..7", "1,2", "1,2,3,4", "256,0,0", "1..", "99999999999999999999",
      "1.5" } do
      local value, why = truth.inside(text)
      equal({ value, why ~= nil and why:find("found " .. text, 1, true) ~= nil }, { nil, true }, text)
    end
  end)
end)

sys.remove_tree(work)
sys.keep(work)
