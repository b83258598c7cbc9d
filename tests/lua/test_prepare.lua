-- SPDX-License-Identifier: Apache-2.0
-- Preparation of scans: the rules by their formulas, values that are no numbers, and volumes on another grid and back.

local spec = require "spec"
local describe, it, equal, holds, refuses = spec.describe, spec.it, spec.equal, spec.holds, spec.refuses
local tensor = spec.host "msagen.tensor"
if not tensor then return end
local prepare = require "scans.prepare"

-- A scan of numbers, stored as a type.
local function scan(numbers, shape, dtype, more)
  local formats = { u8 = "<B", i8 = "<b", i16 = "<i2", i32 = "<i4", f32 = "<f", f64 = "<d" }
  local bytes = {}
  for i, number in ipairs(numbers) do bytes[i] = formats[dtype]:pack(number) end
  local made = { format = "npy", values = tensor.frombytes(table.concat(bytes), dtype, shape) }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

-- The first channel of a picture, flat; the others are the same.
local function bytes_of(picture)
  local all, list = picture:totable(), {}
  for i = 1, #all, 3 do
    assert(all[i] == all[i + 1] and all[i] == all[i + 2], "three equal channels")
    list[#list + 1] = all[i]
  end
  return list
end

local function shown(numbers, rule, dtype, more)
  return bytes_of((prepare.apply(scan(numbers, { 1, 1, #numbers }, dtype or "f64", more), rule)))
end

local function scaled(numbers, rule, dtype, more)
  return prepare.scaled(scan(numbers, { 1, 1, #numbers }, dtype or "f64", more), rule):totable()
end

local function near(found, expected, tolerance)
  equal(#found, #expected)
  for i, value in ipairs(expected) do
    if not (math.abs(found[i] - value) <= tolerance) then
      error(("number %d: expected %.17g, found %.17g"):format(i, value, found[i]), 2)
    end
  end
end

describe("a rule's text", function()
  it("is a name and its numbers, or a habit's name", function()
    equal(prepare.parse("window:40/400").numbers, { 40, 400 })
    equal(prepare.parse("lung").text, "window:-600/1500")
    equal(prepare.parse("medsam-ct").text, "medsam-ct:40/400")
    equal(prepare.parse("percentile:0.5/99.5").text, "percentile:0.5/99.5")
    for _, name in ipairs(prepare.names) do
      assert(prepare.parse(name) or prepare.parse(name .. ":1/2") or prepare.parse(name .. ":1/2/3/4"), name)
    end
  end)

  it("is refused with a near name, or with how it is written", function()
    for _, case in ipairs {
      { "widow:40/400", "did you mean window" }, { "medsam", "did you mean medsam" }, { "", "an empty text" },
      { "window", "window:CENTRE/WIDTH" }, { "window:40", "window:CENTRE/WIDTH" },
      { "window:40/x", "window:CENTRE/WIDTH with numbers" }, { "window:40/0x10", "numbers" },
      { "window:40/1e999", "numbers" }, { "window:40/0", "WIDTH above 1" }, { "range:3/3", "LOW below HIGH" },
      { "percentile:-1/99", "0 to 100" }, { "percentile:nan/99", "numbers" }, { "lung:1/2", "lung without numbers" },
      { "minmax:1", "minmax" }, { "nnunet-ct:0/1/0/0", "DEVIATION above 0" }, { "lung\n", "expected" },
    } do
      local rule, why = prepare.parse(case[1])
      equal(rule, nil, case[1])
      if case[1] ~= "medsam" then holds(why, case[2]) end
      assert(not why:find "%c", "one line")
    end
    refuses(function() shown({ 1 }, "widow:1/2") end, "--prepare", "did you mean window")
  end)
end)

describe("rules of measured values", function()
  it("are windows as DICOM defines them", function()
    equal(shown({ -2000, -160, 39.5, 239, 240, 5000 }, "window:40/400"), { 0, 0, 128, 255, 255, 255 })
    near(scaled({ -160, 0, 40, 240 }, "window-exact:40/400"), { 0, 0.4, 0.5, 1 }, 1e-15)
    near(scaled({ -160, 0, 100 }, "window:40/400"), { 0, 160 / 399, 260 / 399 }, 1e-15)
    near(scaled({ -200, -175, 37.5, 250, 300 }, "range:-175/250"), { 0, 0, 0.5, 1, 1 }, 0)
    equal(shown({ -200, -175, 37.5, 250, 300 }, "range:-175/250"), { 0, 0, 128, 255, 255 })
  end)

  it("take modality values, by slope and intercept or by a table", function()
    equal(scaled({ 0, 1024, 2048 }, "range:-1024/1024", "i16", { intercept = -1024 }), { 0.0, 0.5, 1.0 })
    near(scaled({ -4, 0, 4 }, "minmax", "i8", { slope = 0.1, intercept = 3 }), { 0, 0.5, 1 }, 1e-15)
    local lut = { first = 1, values = tensor.frombytes(("<ddd"):pack(10, 30, 20), "f64", { 3 }) }
    equal(scaled({ -7, 1, 2, 3, 99 }, "range:10/30", "i16", { modality_lut = lut }), { 0.0, 0.0, 1.0, 0.5, 0.5 })
  end)

  it("are MedSAM's to the byte: extremes of the clipped volume, truncated", function()
    -- (y - min) / (max - min) * 255 of -100..100, which is not the whole window
    equal(shown({ -100, 0, 99, 100 }, "medsam-ct"), { 0, 127, 253, 255 })
    equal(shown({ -1000, 0, 99, 1000 }, "medsam-ct"), { 0, 102, 165, 255 })
    equal(scaled({ -1000, 0, 99, 1000 }, "medsam-ct"), { 0.0, 102.0, 165.0, 255.0 })
    equal(shown({ -1350, -600, 150 }, "medsam-ct:-600/1500"), { 0, 127, 255 })
    -- percentiles of 1..200: 1.995 and 199.005; 0 stays 0, below the lower percentile there is nothing
    local numbers = { 0, -5 }
    for i = 1, 200 do numbers[i + 2] = i end
    local found = shown(numbers, "medsam-mr", "i16")
    local function expected(v) return math.floor((math.min(v, 199.005) - 1.995) / (199.005 - 1.995) * 255) end
    equal({ found[1], found[2], found[3], found[4], found[102], found[201], found[202] },
      { 0, 0, 0, expected(2), expected(100), 254, 255 })
  end)

  it("are percentiles as numpy has them", function()
    -- numpy.percentile([3, 1, 2, 10], [10, 90]): 1.3, 7.9
    near(scaled({ 3, 1, 2, 10 }, "percentile:10/90"), { 1.7 / 6.6, 0, 0.7 / 6.6, 1 }, 1e-15)
    near(scaled({ -3, -1, -2, -10 }, "percentile:0/100"), { 7 / 9, 1, 8 / 9, 0 }, 1e-15)
    near(scaled({ -0.0, 5e-324, 1e308 }, "percentile:0/100"), { 0, 0, 1 }, 1e-15)
  end)

  it("are nnU-Net's scores, whose picture has the range of the scores", function()
    near(scaled({ 1, 2, 3, 4 }, "nnunet-mr"), { -3 / 5 ^ 0.5, -1 / 5 ^ 0.5, 1 / 5 ^ 0.5, 3 / 5 ^ 0.5 }, 1e-15)
    equal(shown({ 1, 2, 3, 4 }, "nnunet-mr"), { 0, 85, 170, 255 })
    near(scaled({ -2000, 0, 500 }, "nnunet-ct:-1000/300/100/50"), { -22, -2, 4 }, 0)
    equal(shown({ -2000, -350, 500 }, "nnunet-ct:-1000/300/100/50"), { 0, 128, 255 })
  end)
end)

describe("values that tell nothing", function()
  local nan, inf = 0 / 0, math.huge

  it("count in no statistic where they are no numbers, and are black; infinities are at the ends", function()
    for _, dtype in ipairs { "f32", "f64" } do
      for _, rule in ipairs { "minmax", "percentile:0/100", "range:1/3" } do
        equal(scaled({ nan, 1, -inf, 2, inf, 3 }, rule, dtype), { 0.0, 0.0, 0.0, 0.5, 1.0, 1.0 }, rule)
      end
      equal(shown({ nan, 1, -inf, 2, inf, 3 }, "medsam-ct", dtype), { 0, 0, 0, 127, 255, 255 })
    end
    local _, _, found = prepare.apply(scan({ nan, 1, inf, 2 }, { 1, 1, 4 }, "f32"), "minmax")
    equal(#found.notes, 2)
    holds(found.notes[1], "1 voxels are no numbers (NaN)")
    equal(shown({ nan, nan }, "minmax"), { 0, 0 })
  end)

  it("make a black picture where all are alike, and a note", function()
    for _, rule in ipairs { "minmax", "percentile:0.5/99.5", "medsam-ct", "medsam-mr", "nnunet-mr" } do
      for _, value in ipairs { 0, 7, -7 } do
        local picture, _, found = prepare.apply(scan({ value, value, value, value }, { 1, 2, 2 }, "i16"), rule)
        equal(bytes_of(picture), { 0, 0, 0, 0 }, rule)
        equal(#found.notes, 1, rule)
      end
    end
    local _, _, found = prepare.apply(scan({ -3, -1 }, { 1, 1, 2 }, "i16"), "medsam-mr")
    holds(found.notes[1], "no voxel is above 0")
  end)
end)

describe("rules that compute nothing", function()
  it("take bytes and colours as they are", function()
    equal(shown({ 0, 7, 255 }, "none", "u8"), { 0, 7, 255 })
    equal(scaled({ 0, 7, 255 }, "none", "u8"), { 0.0, 7.0, 255.0 })
    local colour = scan({ 1, 2, 3, 4, 5, 6 }, { 1, 1, 2, 3 }, "u8", { colour = true })
    equal((prepare.apply(colour, "none")):totable(), { 1, 2, 3, 4, 5, 6 })
    refuses(function() shown({ 1 }, "none", "i16") end, "none", "i16")
    refuses(function() prepare.apply(colour, "lung") end, "window:-600/1500", "colour")
  end)

  it("show a file as its format says", function()
    local function grey(s) return scan({ 9, 8 }, s.values.shape, "u8").values end
    equal(shown({ 1, 2 }, "grey", "i16", { grey = grey }), { 9, 8 })
    equal(shown({ 1, 2 }, "dicom", "i16", { grey = grey }), { 9, 8 })
    refuses(function() shown({ 1 }, "grey", "i16") end, "npy of i16")
    equal(prepare.default(scan({ 1 }, { 1, 1, 1 }, "i16", { grey = grey })).name, "grey")
    equal(prepare.default(scan({ 1 }, { 1, 1, 1 }, "u8")).name, "none")
    local rule, why = prepare.default(scan({ 1 }, { 1, 1, 1 }, "i16"))
    equal(rule, nil)
    holds(why, "--prepare", "i16")
  end)
end)
