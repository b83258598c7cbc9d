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

  it("take modality values, by slope and intercept", function()
    equal(scaled({ 0, 1024, 2048 }, "range:-1024/1024", "i16", { intercept = -1024 }), { 0.0, 0.5, 1.0 })
    near(scaled({ -4, 0, 4 }, "minmax", "i8", { slope = 0.1, intercept = 3 }), { 0, 0.5, 1 }, 1e-15)
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

-- ---- against other programs ----

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden-front/prep/"
local npy, intensity = require "msagen.npy", require "msagen.intensity"

-- What these tests need of a NIfTI file: little-endian, sform, no scaling.
local function nifti(name)
  local text = require("msagen.gzip").read(golden .. name)
  local _, i, j, k = ("<hhhh"):unpack(text, 41)
  local dtype = ({ [2] = "u8", [4] = "i16", [16] = "f32" })[("<h"):unpack(text, 71)]
  local affine = { { ("<ffff"):unpack(text, 281) }, { ("<ffff"):unpack(text, 297) }, { ("<ffff"):unpack(text, 313) } }
  for r = 1, 3 do affine[r][5] = nil end
  local values = tensor.frombytes(text:sub(math.tointeger(("<f"):unpack(text, 109)) + 1), dtype, { k, j, i })
  return { format = "nifti", path = name, values = values, place = { affine = affine, shape = { i, j, k },
    axes = { { axis = 3 }, { axis = 2 }, { axis = 1 } } } }
end

-- Every n-th element along a dimension, from `first` on.
local function every(t, dim, first, n)
  local shape, last = t.shape, 0
  local bytes = {}
  local count = (shape[dim] - first + n - 1) // n
  for at = first, shape[dim] - 1, n do
    bytes[#bytes + 1] = t:slice(dim, at, 1):tobytes()
    last = last + 1
  end
  assert(last == count)
  local order = { dim }
  for d = 1, #shape do
    if d ~= dim then order[#order + 1] = d end
  end
  local moved = { count }
  for d = 2, #shape do moved[d] = shape[order[d]] end
  local back = {}
  for d = 1, #shape do back[order[d]] = d end
  return tensor.frombytes(table.concat(bytes), t.dtype, moved):permute(back)
end

-- The largest difference of two tensors.
local function furthest(a, b)
  equal(a.shape, b.shape)
  local off = tensor.in_double(function() return a:add(b, -1) end)
  local range = intensity.range({ stored = off }, false)
  equal({ range.nans, range.infinite }, { 0, 0 })
  return math.max(-range.low, range.high)
end

-- The first channel of a picture.
local function one_channel(picture)
  local shape = picture.shape
  return picture:slice(4, 0, 1):reshape { shape[1], shape[2], shape[3] }
end

describe("golden values", function()
  it("of MedSAM and nnU-Net are numpy's", function()
    local ct, mr = nifti "ct.nii.gz", nifti "hippocampus_366.nii.gz"
    local function files(t, n) return every(t, 1, 0, n):permute { 3, 2, 1 } end
    equal(files(one_channel((prepare.apply(ct, "medsam-ct"))), 9):equal(npy.read(golden .. "ct_medsam.npy")), true)
    equal(files(one_channel((prepare.apply(mr, "medsam-mr"))), 4):equal(npy.read(golden .. "hippocampus_medsam.npy")),
      true)
    local score = files(prepare.scaled(mr, "nnunet-mr"), 8)
    assert(furthest(score, npy.read(golden .. "hippocampus_zscore.npy")) <= 1e-14)
  end)

  it("of MSA's BTCV chain are MONAI's, image and labels", function()
    local ct, seg = nifti "ct.nii.gz", nifti "seg.nii.gz"
    local numbers, found = prepare.scaled(ct, "msa-btcv")
    equal(numbers.shape, { 44, 241, 191 })
    equal(found.spacing, { 2.0, 1.5, 1.5 })
    near(found.place.affine[1], { 1.5, 0, 0, -177.95632934570312 }, 1e-12)
    near(found.place.affine[3], { 0, 0, 2, 94.3017578125 }, 1e-12)
    local some = every(every(numbers, 1, 10, 15), 2, 0, 3):permute { 2, 3, 1 }
    assert(furthest(some, npy.read(golden .. "btcv_image.npy")) <= 6e-8)
    -- Between two voxels (odd x, odd y) either is right.
    local labels = every(prepare.labels(seg, "msa-btcv", ct), 1, 10, 15):permute { 2, 3, 1 }
    local expected = npy.read(golden .. "btcv_label.npy")
    equal(labels.shape, expected.shape)
    equal(every(every(labels, 1, 0, 2), 2, 0, 2):equal(every(every(expected, 1, 0, 2), 2, 0, 2)), true)
    local a, b, differ = labels:totable(), expected:totable(), 0
    for i = 1, #a do differ = differ + (a[i] ~= b[i] and 1 or 0) end
    assert(differ > 0 and differ < #a * 0.03, differ)
  end)

  it("of volumes that lie askew are MONAI's", function()
    local json = require "msagen.json"
    for _, case in ipairs(json.decode(require("msagen.sys").read_file(golden .. "turned.json")).cases) do
      local bytes = {}
      for i, value in ipairs(case.stored) do bytes[i] = ("<i2"):pack(value) end
      local stored = tensor.frombytes(table.concat(bytes), "i16", case.shape)
      -- The same volume as it may come from a reader: another order of axes.
      for _, order in ipairs { { 3, 2, 1 }, { 1, 2, 3 }, { 2, 1, 3 } } do
        local axes = { { axis = order[1] }, { axis = order[2] }, { axis = order[3] } }
        local askew = { format = "nifti", path = case.kind, values = stored:permute(order),
          place = { affine = case.affine, shape = case.shape, axes = axes } }
        local numbers, found = prepare.scaled(askew, "msa-btcv")
        numbers = numbers:permute { 2, 3, 1 }
        equal(numbers.shape, case.size, case.kind)
        near(numbers:totable(), case.numbers, 1e-7)
        for r = 1, 3 do near(found.place.affine[r], case.placed[r], 1e-9) end
      end
    end
  end)
end)

describe("masks", function()
  -- A volume of i16 [2,3,4] whose file axes are reversed as said.
  local function boxed(flips)
    local numbers = {}
    for i = 1, 24 do numbers[i] = -1000 end
    for _, i in ipairs { 6, 7, 18, 19, 11 } do numbers[i] = 10 * i end -- h 1..2, w 1..2
    local affine = { { 0, 3, 0, 5 }, { 1.5, 0, 0, -7 }, { 0, 0, 2, 9 } }
    for r = 1, 3 do affine[r][r == 1 and 2 or r == 2 and 1 or 3] = affine[r][r == 1 and 2 or r == 2 and 1 or 3]
      * (flips[r] and -1 or 1) end
    return scan(numbers, { 2, 3, 4 }, "i16", { format = "nifti", spacing = { 2, 3, 1.5 },
      place = { affine = affine, shape = { 4, 3, 2 }, axes = { { axis = 3 }, { axis = 2 }, { axis = 1 } } } })
  end

  it("come back to the scan's own grid, and are 0 outside the crop", function()
    for bits = 0, 7 do
      local flips = { bits & 1 > 0, bits & 2 > 0, bits & 4 > 0 }
      local picture, back = prepare.apply(boxed(flips), "msa-btcv")
      equal(picture.shape, { 2, 3, 2, 3 }) -- up 2 of 2 mm; right 2 of 3 mm -> 3 of 1.5; front 2 of 1.5
      local numbers = {}
      for i = 1, 24 do numbers[i] = i end
      local labels = scan(numbers, { 2, 3, 4 }, "u8", { place = boxed(flips).place, spacing = { 2, 3, 1.5 } })
      local there = prepare.labels(labels, "msa-btcv", boxed(flips))
      equal(there.shape, { 2, 3, 2 })
      local again = back(there):totable()
      for i = 1, 24 do
        local h, w = (i - 1) // 4 % 3, (i - 1) % 4
        equal(again[i], h >= 1 and w >= 1 and w <= 2 and i or 0)
      end
      refuses(function() back(there:permute { 2, 1, 3 }) end, "2 x 3 x 2", "3 x 2 x 2")
    end
  end)

  it("stay as they are where the grid is the scan's", function()
    local labels = scan({ 1, 2, 3 }, { 1, 1, 3 }, "u8")
    local _, back = prepare.apply(labels, "none")
    equal(back(labels.values), labels.values)
    equal(prepare.labels(labels, "lung", scan({ 7, 8, 9 }, { 1, 1, 3 }, "i16")), labels.values)
    equal(prepare.labels(scan({ 1, 2 }, { 1, 1, 2 }, "u8", { slope = 2 }), "lung", scan({ 7, 8 }, { 1, 1, 2 },
      "i16")):totable(), { 2.0, 4.0 })
  end)

  it("are refused where they are of another volume", function()
    local image = boxed {}
    local small = scan({ 1, 2 }, { 1, 1, 2 }, "u8")
    refuses(function() prepare.labels(small, "msa-btcv", image) end, "2 x 3 x 4", "1 x 1 x 2")
    local moved = boxed {}
    moved.place.affine[1][4] = 9
    refuses(function() prepare.labels(moved, "msa-btcv", image) end, "4 mm away")
  end)
end)

describe("axes behind @", function()
  local numbers = {}
  for i = 1, 24 do numbers[i] = i end
  -- i runs to the left, j upwards, k to the front.
  local function volume()
    return scan(numbers, { 2, 3, 4 }, "u8", { format = "nifti", spacing = { 5, 3, 1 }, place = { header = "kept",
      affine = { { -1, 0, 0, 0 }, { 0, 0, 5, 0 }, { 0, 3, 0, 0 } }, shape = { 4, 3, 2 },
      axes = { { axis = 3 }, { axis = 2 }, { axis = 1 } } } })
  end

  it("are the file's, or lead to a side of the patient, and back again", function()
    for rule, first in pairs {
      ["none@kji"] = { 1, 2, 3 }, ["none@kij"] = { 1, 5, 9 }, ["none@ijk"] = { 1, 13, 5 },
      ["none@ALI"] = { 9, 5, 1 }, ["none@SRA"] = { 4, 16, 3 }, ["none@IPL"] = { 21, 22, 23 } } do
      local picture, back, found = prepare.apply(volume(), rule)
      local list = bytes_of(picture)
      equal({ list[1], list[2], list[3] }, first, rule)
      equal(back(one_channel(picture)):totable(), numbers, rule)
      equal(prepare.labels(volume(), rule, volume()):totable(), list, rule)
      equal(found.place.header, "kept")
    end
    local _, _, found = prepare.apply(volume(), "range:0/9@SRA")
    equal({ found.spacing, found.place.axes }, { { 3, 1, 5 }, { { axis = 2, flipped = false },
      { axis = 1, flipped = true }, { axis = 3, flipped = false } } })
  end)

  it("are refused where they are none, where a rule has its own, and of what has no place", function()
    for _, text in ipairs { "none@kii", "none@kj", "none@kiR", "none@RLS", "none@", "none@KIJ" } do
      holds(select(2, prepare.parse(text)), "@kij")
    end
    holds(select(2, prepare.parse "msa-btcv@kij"), "has its own")
    equal(prepare.parse("lung@SPL").text, "window:-600/1500@SPL")
    refuses(function() shown({ 1 }, "none@kij", "u8") end, "lie in the patient", "npy")
  end)
end)

describe("grids that nobody can want", function()
  local function askew(affine, values)
    return { format = "nifti", values = values or tensor.zeros({ 2, 2, 2 }, "i16"), place = { affine = affine,
      shape = { 2, 2, 2 }, axes = { { axis = 3 }, { axis = 2 }, { axis = 1 } } } }
  end

  it("are refused before memory is asked for", function()
    local nan = 0 / 0
    for _, case in ipairs {
      { { { 1e6, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, "voxels along each axis" },
      { { { 1e4, 0, 0, 0 }, { 0, 1e4, 0, 0 }, { 0, 0, 1e4, 0 } }, "at most 1073741824 voxels" },
      { { { 1, 0, 1, 0 }, { 0, 1, 0, 0 }, { 0, 0, 0, 0 } }, "singular" },
      { { { 0, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, "singular" },
      { { { nan, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, "singular" },
      { { { 1, 0, 0, math.huge }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, "numbers" },
    } do
      refuses(function() prepare.apply(askew(case[1]), "msa-btcv") end, "--prepare msa-btcv", case[2])
    end
    local empty = tensor.frombytes(("<i2"):pack(-1000):rep(8), "i16", { 2, 2, 2 })
    refuses(function() prepare.apply(askew({ { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, empty), "msa-btcv") end,
      "above -175 HU")
    refuses(function() prepare.apply(scan({ 1 }, { 1, 1, 1 }, "i16"), "msa-btcv") end, "lie in the patient")
  end)
end)

describe("a build", function()
  local sys, tiny = require "msagen.sys", require "tiny_model"

  it("notes the rule of its checkpoint in the manifest, as it is written in full", function()
    local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-prepare-")
    sys.cleanup(work)
    local device = tiny.device(work, "adapted")
    local function noted()
      tiny.build(device, work .. "/fw")
      return require("msagen.json").decode(sys.read_file(work .. "/fw/manifest.json")).prepare
    end
    equal(noted(), require("msagen.json").null)
    device.prepare = "lung@SPL"
    equal(noted(), "window:-600/1500@SPL")
    device.prepare = "widow:40/400"
    refuses(noted, "prepare: expected none, grey, window", "found widow:40/400 (did you mean window?)")
    sys.remove_tree(work)
  end)

  it("is refused where its manifest names no rule", function()
    local rules = require "scans.rules"
    equal({ rules.kind "lung" }, {})
    equal({ rules.kind(7) }, { "a rule's text, such as window:40/400" })
    equal({ rules.kind "window:1/x" }, { "window:CENTRE/WIDTH with numbers", "window:1/x" })
    equal(require("run.manifest").fields.prepare[1], rules.kind)
  end)
end)
