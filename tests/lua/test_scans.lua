-- SPDX-License-Identifier: Apache-2.0
-- Image files of any format as scans: NIfTI by nibabel's values, TIFF by the formulas that its test files were drawn
-- with; masks written back; what `convert` makes of them; what is refused.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, npy, tensor, json, sha256, image = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor",
  spec.host "msagen.json", spec.host "msagen.sha256", spec.host "msagen.image"
if not (sys and npy and tensor and json and sha256 and image) then return end

local convert, inputs, mask_file, place, scans, truth = require "scans.convert", require "run.inputs",
  require "run.mask_file", require "scans.place", require "scans.scan", require "run.truth"
local golden = msagen.datadir .. "/tests/golden-front/nifti"
local cases = json.decode(sys.read_file(golden .. "/cases.json"), "cases.json")
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-scans-")
sys.cleanup(work)

local function file(name) return golden .. "/" .. name end

-- Types that a scan has in a wider one, as they were.
local NARROW = { ["<u2"] = "<I2", ["<u4"] = "<I4" }

-- SHA-256 of values [k,j,i] in C order of [i,j,k], as numpy has them of a type.
local function digest(values, dtype)
  local t, hash = values:permute { 3, 2, 1 }, sha256.new()
  if not NARROW[dtype] then
    hash:update(t:tobytes())
  else
    for _, v in ipairs(t:totable()) do hash:update(string.pack(NARROW[dtype], v)) end
  end
  return hash:hex()
end

local function backwards(list) return { list[3], list[2], list[1] } end

local function near(found, expected, what)
  for r = 1, 3 do
    for c = 1, 4 do
      if math.abs(found[r][c] - expected[r][c]) > 1e-9 then
        error(("%s: [%d][%d]: expected %.17g, found %.17g"):format(what, r, c, expected[r][c], found[r][c]))
      end
    end
  end
end

describe("NIfTI", function()
  it("has nibabel's values, scaling, place and RAS form", function()
    local compared = 0
    for _, case in ipairs(cases) do
      if case.stored and #case.stored.shape == 3 then
        local scan = scans.read(file(case.file))
        equal(scan.values.shape, backwards(case.stored.shape), case.name)
        equal(digest(scan.values, case.stored.dtype), case.stored.sha256_of_bytes, case.name)
        equal({ scan.slope, scan.intercept }, case.slope_inter_used, case.name)
        near(scan.place.affine, case.affine_ras_mm, case.name)
        equal(place.directions(scan.place), case.axis_codes, case.name)
        local ras, lying = place.ras(scan.values, scan.place)
        equal({ digest(ras, case.ras.dtype), ras.shape }, { case.ras.sha256_of_bytes, backwards(case.ras.shape) },
          case.name)
        near(lying.affine, case.ras_affine, case.name)
        if case.scaled then
          local found = convert.take(scan, { values = "modality" })
          equal({ found.values.dtype, digest(found.values, "<f8") }, { "f64", case.scaled.sha256_of_bytes }, case.name)
        end
        compared = compared + 1
      end
    end
    equal(compared, 21)
  end)

  it("keeps what is no number, and colours", function()
    local values = scans.read(file "resampled_anat_moved.nii").values
    equal((values:finite()), false)
    local scan = scans.read(file "n_rgb24.nii")
    equal({ scan.colour, scan.values.shape, scan.values.dtype }, { true, { 2, 5, 6, 3 }, "u8" })
  end)

  it("is one volume of several, or is refused with their number", function()
    refuses(function() scans.read(file "example_nifti2.nii.gz") end, "expected one volume, found 2", "--frame N")
    refuses(function() scans.read(file "example_nifti2.nii.gz", { frame = 2 }) end, "--frame", "0 to 1", "found 2")
    local first, second = scans.read(file "example_nifti2.nii.gz", { frame = 0 }),
      scans.read(file "example_nifti2.nii.gz", { frame = 1 })
    equal({ first.values.shape, first.values:equal(second.values) }, { { 12, 20, 32 }, false })
  end)

  it("is sliced along any axis, whose directions are said", function()
    local whole = scans.read(file "n_permuted.nii.gz") -- i to P, j to S, k to R
    equal(whole.values.shape, { 5, 7, 9 })
    for axis, expected in pairs { i = { 9, 5, 7 }, j = { 7, 5, 9 }, axial = { 7, 5, 9 }, sagittal = { 5, 7, 9 },
      coronal = { 9, 5, 7 } } do
      local scan = scans.read(file "n_permuted.nii.gz", { axis = axis })
      equal(scan.values.shape, expected, axis)
      equal(place.filed(scan.values, scan.place):equal(whole.values), true, axis)
    end
    holds(scans.read(file "n_permuted.nii.gz", { axis = "j" }).notes[1], "j axis, bottom to top",
      "rows left to right, columns front to back")
    equal(scans.read(file "n_permuted.nii.gz", { axis = "i" }).spacing, { whole.spacing[3], whole.spacing[1],
      whole.spacing[2] })
    holds(table.concat(scans.read(file "n_no_form.nii").notes, "\n"), "right and left may be exchanged")
    refuses(function() scans.read(file "n_no_form.nii", { axis = "axial" }) end, "--axis axial", "--axis i, j or k")
    refuses(function() scans.read(msagen.datadir .. "/tests/golden-front/tiff/multi.tif", { axis = "i" }) end,
      "--axis i", "found a TIFF file")
  end)

  it("may be named by either file of a pair", function()
    local header, body = scans.read(file "n_pair.hdr"), scans.read(file "n_pair.img")
    equal(header.values:equal(body.values), true)
    sys.write_file(work .. "/alone.hdr", sys.read_file(file "n_pair.hdr"))
    refuses(function() scans.read(work .. "/alone.hdr") end, "alone.hdr", "alone.img beside it")
  end)

  it("is refused where it is damaged, before memory is taken", function()
    local refused = 0
    for _, case in ipairs(cases) do
      if case.bad then
        refuses(function() scans.read(file(case.file)) end, case.file, "NIfTI: ")
        refused = refused + 1
      end
    end
    equal(refused, 9)
    refuses(function() scans.read(file "bad_datatype.nii") end, "complex64")
    refuses(function() scans.read(file "bad_magic.nii") end, "magic")
    local bytes = sys.read_file(file "n_int16_scaled_las.nii")
    local huge = bytes:sub(1, 40) .. string.pack("<i2i2i2i2i2", 3, 2000, 1000, 1000, 1) .. bytes:sub(51)
    sys.write_file(work .. "/huge.nii", huge)
    refuses(function() scans.read(work .. "/huge.nii") end, "huge.nii", "ends before")
  end)
end)

describe("TIFF", function()
  local folder = msagen.datadir .. "/tests/golden-front/tiff"
  local function read(name, options) return scans.read(("%s/%s.tif"):format(folder, name), options) end
  -- Of the test files: 9 pixels wide, 8 high.
  local function drawn(f)
    local list = {}
    for y = 0, 7 do
      for x = 0, 8 do list[#list + 1] = f(x, y) end
    end
    return list
  end
  local function shade(x, y) return (4 * x + 2 * y) % 256 end
  local function colours()
    local list = {}
    for _, v in ipairs(drawn(shade)) do table.move({ v, 255 - v, 3 * v % 256 }, 1, 3, #list + 1, list) end
    return list
  end
  local function is(name, dtype, values, shape)
    local found = read(name).values
    equal({ found.dtype, found.shape }, { dtype, shape or { 1, 8, 9 } }, name)
    equal(found:totable(), values, name)
  end

  it("is the same in every compression", function()
    for _, name in ipairs { "lzw", "deflate", "packbits", "centimetres", "alpha" } do is(name, "u8", drawn(shade)) end
    is("g4", "u8", drawn(function(x, y) return shade(x, y) > 100 and 255 or 0 end))
    equal(read("jpeg").values.shape, { 1, 8, 9, 3 })
  end)

  it("has numbers of many types, in either byte order, in strips and tiles", function()
    is("tiled16", "i32", drawn(function(x, y) return 1000 * x + y end))
    is("u12", "i32", drawn(function(x, y) return (1000 * x + y) & 4095 end))
    is("s16be", "i16", drawn(function(x, y) return 100 * x - 900 * y end))
    is("i32", "i32", drawn(function(x, y) return 100000 * x - 5 * y end))
    is("u32", "i64", drawn(function(x, y) return 80000000 * x + y end))
    is("f32", "f32", drawn(function(x, y) return 0.5 * x - 3.25 * y end))
    is("f64", "f64", drawn(function(x, y) return x / 3 - y end))
    is("white0", "u8", drawn(function(x, y) return 255 - shade(x, y) end))
  end)

  it("has colours, in planes or not, of 16 bits the upper 8, of a palette", function()
    for _, name in ipairs { "planar", "tiledplanar", "rgb16" } do is(name, "u8", colours(), { 1, 8, 9, 3 }) end
    equal({ read("pal").colour, read("pal").values.shape }, { true, { 1, 8, 9, 3 } })
  end)

  it("is a stack of pages, one of them, or turned", function()
    local all = read "multi"
    equal({ all.values.shape, all.values:get(3, 0, 0), all.frames }, { { 4, 8, 9 }, 3, 4 })
    equal(read("multi", { frame = 2 }).values:equal(all.values:slice(1, 2, 1)), true)
    refuses(function() read("multi", { frame = 4 }) end, "--frame", "0 to 3", "found 4")
    local turned = read "turned" -- to the right
    equal({ turned.values.shape, turned.values:get(0, 0, 7), turned.values:get(0, 8, 7), turned.orientation },
      { { 1, 9, 8 }, shade(0, 0), shade(8, 0), 6 })
  end)

  it("tells its spacing where that is in inches or centimetres", function()
    equal(read("centimetres").spacing, { false, 0.1, 0.1 })
    local inches = read("f64").spacing -- 25.4 and 50.8 an inch, as floats
    equal({ inches[1], math.abs(inches[2] - 0.5) < 1e-7, math.abs(inches[3] - 1) < 1e-7 }, { false, true, true })
    equal(read("lzw").spacing, nil)
  end)

  it("is refused by name where it is another kind, or damaged", function()
    refuses(function() read "bad_cmyk" end, "bad_cmyk.tif: TIFF: page 0", "CMYK")
    refuses(function() read "bad_complex" end, "complex")
    sys.write_file(work .. "/cut.tif", sys.read_file(folder .. "/tiled16.tif"):sub(1, -100))
    refuses(function() scans.read(work .. "/cut.tif") end, "cut.tif: TIFF: damaged")
    sys.write_file(work .. "/loop.tif", "II*\0\8\0\0\0\0\0\8\0\0\0")
    refuses(function() scans.read(work .. "/loop.tif") end, "loop.tif: TIFF: ")
  end)
end)

describe("formats", function()
  it("are known by what files hold", function()
    local raw = sys.read_file(file "n_int16_scaled_las.nii")
    sys.write_file(work .. "/wrong.png", raw)
    equal(scans.read(work .. "/wrong.png").format, "nifti")
    sys.write_file(work .. "/text", "neither")
    refuses(function() scans.read(work .. "/text") end, "expected PNG, JPEG, TIFF, DICOM, NIfTI or NPY, found another")
    sys.mkdir_p(work .. "/empty")
    refuses(function() scans.read(work .. "/empty") end, "a folder of DICOM files")
    refuses(function() scans.read(file "standard.nii.gz", { bits = 12 }) end, "--image-bits 12", "a NIfTI file")
  end)
end)

describe("a picture of a volume", function()
  it("is prepared, or refused with what to choose", function()
    refuses(function() inputs.image(file "n_int16_scaled_las.nii", 1) end, "expected --prepare RULE", "i16")
    local t, notes, turned, input = inputs.image(file "n_int16_scaled_las.nii", 1, { rule = "minmax" })
    equal({ t.shape, t.dtype, turned, input:depth() }, { { 5, 7, 9, 3 }, "u8", 1, 5 })
    holds(notes[1], "slices along the file's k axis")
    equal(inputs.image(file "n_int16_scaled_las.nii", 1, { built = "minmax" }):equal(t), true)
    local bytes = inputs.image(file "n_uint8_oblique.nii", 1)
    equal(bytes.shape, { 4, 5, 6, 3 })
  end)

  it("may be one slice of it", function()
    local whole = inputs.image(file "n_int16_scaled_las.nii", 1, { rule = "minmax" })
    local t, _, _, input = inputs.image(file "n_int16_scaled_las.nii", 1, { rule = "minmax", slice = 3 })
    equal({ t.shape, t:equal(whole:slice(1, 3, 1)), input:depth() }, { { 1, 7, 9, 3 }, true, 1 })
    refuses(function() inputs.image(file "n_int16_scaled_las.nii", 1, { rule = "minmax", slice = 5 }) end, "--slice 5",
      "0 to 4")
    refuses(function() inputs.image(file "n_int16_scaled_las.nii", 2, { rule = "minmax", slice = 0 }) end,
      "a volume of 2 slices")
  end)
end)

-- A mask with one corner voxel, as a NIfTI file of its image's.
local function written(name, options, ending)
  local t, _, _, input = inputs.image(file(name), 1, options)
  local shape = t.shape
  local mask = tensor.frombytes("\255" .. ("\0"):rep(shape[1] * shape[2] * shape[3] - 1), "u8",
    { shape[1], shape[2], shape[3] })
  local path = work .. "/mask" .. ending
  mask_file.write(path, path, mask, input)
  return path, scans.read(path)
end

describe("a mask as NIfTI", function()
  it("has the image's grid, and its header but for what is not true of a mask", function()
    for _, name in ipairs { "n_int16_scaled_las.nii", "n_big_endian.nii.gz", "n_qfac_minus.nii", "n_nifti2.nii",
      "n_no_form.nii", "n_pair.hdr", "n_extension.nii.gz" } do
      local before = scans.read(file(name))
      local _, scan = written(name, { rule = "minmax" }, ".nii")
      equal({ scan.values.dtype, scan.values.shape, scan.values:get(0, 0, 0), scan.slope },
        { "u8", before.values.shape, 1, 1.0 }, name)
      near(scan.place.affine, before.place.affine, name)
      -- the transforms, bit for bit: of NIfTI-1 bytes 252 to 327, of NIfTI-2 344 to 495
      local first, last = 253, 328
      if #before.place.header == 540 then first, last = 345, 496 end
      equal(scan.place.header:sub(first, last), before.place.header:sub(first, last), name)
    end
  end)

  it("is the same whatever axis and slice were chosen, and whenever it is written", function()
    local path = written("n_permuted.nii.gz", { rule = "minmax", axis = "j", slice = 2 }, ".nii.gz")
    local scan = scans.read(path)
    equal(scan.values.shape, { 5, 7, 9 })
    equal({ scan.values:get(0, 2, 0), scan.values:get(0, 0, 0) }, { 1, 0 })
    local bytes = sys.read_file(path)
    written("n_permuted.nii.gz", { rule = "minmax", axis = "j", slice = 2 }, ".nii.gz")
    equal(sys.read_file(path), bytes)
    equal(bytes:sub(5, 8), "\0\0\0\0", "no date")
  end)

  it("goes through a rule that turns the grid", function()
    local _, scan = written("n_int16_scaled_las.nii", { rule = "minmax@SAR" }, ".nii")
    equal({ scan.values:get(0, 0, 8), scan.values:get(0, 0, 0) }, { 1, 0 })
  end)
end)

describe("a truth", function()
  local function masked(values, name)
    local scan = scans.read(file "n_int16_scaled_las.nii")
    local bytes = {}
    for i = 1, 5 * 7 * 9 do bytes[i] = string.char(values(i)) end
    local t = tensor.frombytes(table.concat(bytes), "u8", { 5, 7, 9 })
    require("scans.nifti").write(work .. "/" .. name, t, { place = scan.place }, true, false)
    return work .. "/" .. name
  end
  local classes = masked(function(i) return i % 3 end, "classes.nii")
  local function read(options, path, ...)
    local wanted = {}
    for i, text in ipairs { ... } do wanted[i] = assert(truth.inside(text)) end
    local t, _, turned, input = inputs.image(file "n_int16_scaled_las.nii", 1, options)
    return truth.read(path, t, #wanted > 0 and wanted or nil, turned, input)
  end

  it("is a label map by value, along the image's axis, of its slice", function()
    local mask = read({ rule = "minmax" }, classes, "2")
    local _, twice = image.overlap(mask, mask)
    equal({ mask.shape, twice // 2, mask:get(0, 0, 1) }, { { 5, 7, 9 }, 105, 255 })
    refuses(function() read({ rule = "minmax" }, classes) end, "--truth-inside", "found values")
    local along = read({ rule = "minmax", axis = "i", slice = 1 }, classes, "2")
    equal({ along.shape, along:get(0, 0, 0), along:get(0, 1, 0) }, { { 1, 5, 7 }, 255, mask:get(1, 0, 1) })
    local labels = truth.labels(classes, nil, 1)
    equal({ labels.dtype, labels.shape, labels:get(0, 0, 1) }, { "i32", { 5, 7, 9 }, 2 })
  end)

  it("may be DICOM, but no segmentation of it", function()
    if not require("scans.dicom").available() then return end
    local forge = require "dicom_forge"
    local function mask(modality)
      local pixels = string.pack("<I2I2I2I2I2I2", 0, 0, 1, 1, 2, 2)
      local path = work .. "/label.dcm"
      sys.write_file(path, forge.file(forge.picture { [0x00080060] = { "CS", modality },
        [0x7FE00010] = { "OW", pixels } }), true)
      return path
    end
    local t, _, turned, input = inputs.image(mask "OT", 1)
    local found = truth.read(mask "OT", t, { assert(truth.inside "2") }, turned, input)
    equal({ found.shape, found:totable() }, { { 1, 2, 3 }, { 0, 0, 0, 0, 255, 255 } })
    refuses(function() truth.labels(mask "SEG", input, 1) end, "a DICOM segmentation (SEG)")
  end)

  it("is turned as the image is", function()
    local mask = read({ rule = "minmax@SAR" }, classes, "2")
    equal(mask:equal(read({ rule = "minmax" }, classes, "2"):flip(3)), true)
  end)

  it("is refused where it lies elsewhere, or is none", function()
    local other = work .. "/other.nii"
    local scan = scans.read(file "n_permuted.nii.gz")
    require("scans.nifti").write(other, tensor.zeros({ 5, 7, 9 }, "u8"), { place = scan.place }, true, false)
    refuses(function() read({ rule = "minmax" }, other, "2") end, "other.nii: truth", "mm away")
    refuses(function() read({ rule = "minmax" }, file "n_uint8_oblique.nii", "2") end, "expected the image's size")
    refuses(function() read({ rule = "minmax" }, file "n_rgb24.nii", "2") end, "found colours")
  end)
end)

describe("convert", function()
  local verb = require "cli.verbs.convert"
  local function run(name, output, options)
    local args = { input = file(name), output = work .. "/" .. output }
    for key, value in pairs(options or {}) do args[key] = value end
    local before, said, status = print, {}, nil
    _G.print = function(text) said[#said + 1] = text end
    local err = io.stderr
    io.stderr = { write = function() end }
    local ok, problem = pcall(function() status = verb.run(args) end)
    _G.print, io.stderr = before, err
    if not ok then error(problem, 0) end
    equal(status, 0)
    return args.output, said[1]
  end

  it("writes NPY, NIfTI, and PNG of 8 or 16 bits", function()
    local path, said = run("n_int16_scaled_las.nii", "a.npy")
    holds(said, "stored i16 [5,7,9]")
    local scan = scans.read(file "n_int16_scaled_las.nii")
    equal(npy.read(path):equal(scan.values), true)
    equal(npy.read((run("n_int16_scaled_las.nii", "a.npy", { slice = 2 }))).shape, { 7, 9 })
    local again = scans.read((run("n_int16_scaled_las.nii", "a.nii.gz")))
    equal({ again.values:equal(scan.values), again.slope, again.intercept }, { true, 0.5, -10.25 })
    equal(image.read((run("n_uint8_oblique.nii", "a.png", { slice = 1 }))).shape, { 5, 6, 3 })
    local rgb = scans.read((run("n_rgb24.nii", "b.nii")))
    equal(rgb.values:equal(scans.read(file "n_rgb24.nii").values), true)
    path = run("n_uint16_oblique.nii", "c.png", { slice = 0, values = "stored" })
    equal(sys.read_file(path):byte(25), 16, "bits")
    equal(npy.read((run("n_int16_scaled_las.nii", "d.npy", { window = "0/100", values = "scaled" }))).dtype, "f64")
  end)

  it("turns to RAS, where nibabel agrees", function()
    local path = run("n_permuted.nii.gz", "ras.nii", { orientation = "ras" })
    equal(place.directions(scans.read(path).place), "RAS")
  end)

  it("refuses what it cannot write, and its own input", function()
    refuses(function() run("n_int16_scaled_las.nii", "a.mha") end, "-o", "ends in .npy, .png, .nii or .nii.gz")
    refuses(function() run("n_uint8_oblique.nii", "a.png") end, "found 4", "--slice K")
    refuses(function() run("n_int16_scaled_las.nii", "n.png", { values = "modality", slice = 0 }) end, "integers")
    equal(sys.exists(work .. "/n.png"), false)
    refuses(function() run("n_uint8_oblique.nii", "a.npy", { slice = 4 }) end, "--slice 4", "0 to 3")
    refuses(function() run("n_rgb24.nii", "a.npy", { values = "modality" }) end, "found colours")
    local own = work .. "/own.nii"
    sys.write_file(own, sys.read_file(file "n_uint8_oblique.nii"))
    refuses(function() verb.run { input = own, output = own } end, "another file than the one that is read")
  end)
end)
