-- SPDX-License-Identifier: Apache-2.0
-- DICOM files: golden ones, what PS3.3 and PS3.5 say of rare ones, and what is refused.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys, tensor, json, sha256 = spec.host "msagen.sys", spec.host "msagen.tensor", spec.host "msagen.json",
  spec.host "msagen.sha256"
if not (sys and tensor and json and sha256) then return end

local dicom = require "scans.dicom"
local forge = require "dicom_forge"
local recognise = require "scans.dicom.recognise"
local golden = msagen.datadir .. "/tests/golden-front/dicom"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-dicom-")
sys.cleanup(work)

local function written(bytes, name)
  local path = work .. "/" .. (name or "a.dcm")
  sys.write_file(path, bytes, true)
  return path
end

describe("what is DICOM", function()
  it("is known by its first bytes, with or without a preamble", function()
    local picture = forge.picture()
    equal(recognise.bytes(forge.file(picture):sub(1, 192)), true)
    equal(recognise.bytes(forge.file(picture, { bare = true }):sub(1, 192)), true)
    equal(recognise.bytes(forge.file(picture, { bare = true, syntax = forge.IMPLICIT }):sub(1, 192)), true)
    equal(recognise.bytes("\0\8\0\5CS\0\10ISO_IR 100\0\8\0\8CS\0\2AB"), true, "big endian")
    for _, other in ipairs { "", "\x93NUMPY\1\0", "\x89PNG\r\n\26\n\0\0\0\rIHDR", "\xFF\xD8\xFF\xE0\0\16JFIF\0",
      ("\0"):rep(192), ("8"):rep(192), "\8\0", "\8\0\0\0\0\0\0\0\8\0\0\0\0\0\0\0", "MM\0*\0\0\0\8" } do
      equal(recognise.bytes(other), false, other:sub(1, 8))
    end
  end)

  it("is a folder that holds one, and no device, pipe or missing file", function()
    equal(dicom.is_dicom(work), false)
    local path = written(forge.file(forge.picture()))
    equal({ dicom.is_dicom(path), dicom.is_dicom(work) }, { true, true })
    equal({ dicom.is_dicom "/dev/zero", dicom.is_dicom(work .. "/none") }, { false, false })
    sys.remove_tree(path)
  end)
end)

if not dicom.available() then
  it("is refused, with the packages that read it", function()
    refuses(function() dicom.read(written(forge.file(forge.picture()))) end,
      "apt-get install g++ libdcmtk-dev libopenjp2-7-dev")
  end)
  spec.skipped = spec.skipped + 1
  print "skipped: test_dicom: this build has no msagen-dicom"
  return
end

-- ---- golden files ----

local FORMATS = { u1 = "B", ["<u2"] = "<I2", ["<i2"] = "<i2", ["<u4"] = "<I4" }

-- The SHA-256 of a tensor's values as NumPy's type has them.
local function digest(t, kind)
  local same = { u1 = "u8", ["<i2"] = "i16" }
  if same[kind] == t.dtype then return sha256.hex(t:tobytes()) end
  local values, format, out = t:totable(), FORMATS[kind], {}
  for first = 1, #values, 64 do
    local last = math.min(first + 63, #values)
    out[#out + 1] = (format:sub(1, 1) == "<" and "<" or "") .. format:gsub("<", ""):rep(last - first + 1)
    out[#out] = string.pack(out[#out], table.unpack(values, first, last))
  end
  return sha256.hex(table.concat(out))
end

local function numel(shape)
  local n = 1
  for _, side in ipairs(shape) do n = n * side end
  return n
end

local function holds(case, what, t)
  if not case[what] then return end
  equal(t:numel(), numel(case[what].shape), case.name .. " " .. what)
  equal(digest(t, case[what].type), case[what].sha256, case.name .. " " .. what)
end

describe("golden files", function()
  for _, case in ipairs(json.decode(sys.read_file(golden .. "/cases.json"), "cases.json").cases) do
    it(case.name .. ": " .. case.note, function()
      local path = golden .. "/" .. (case.file or case.folder)
      if case.refused then return refuses(function() dicom.read(path) end, case.refused) end
      local scan = dicom.read(path)
      equal(scan.format, "dicom")
      holds(case, "stored", scan.stored)
      if case.grey then holds(case, "grey", scan:grey()) end
      holds(case, "rgb", scan.values)
      if not case.spacing then return end
      local first = #case.spacing == 2 and 1 or 0
      for i, mm in ipairs(case.spacing) do
        assert(math.abs(scan.spacing[i + first] - mm) < 1e-6, ("%s: spacing %g"):format(case.name, mm))
      end
    end)
  end
end)

-- ---- rare ones ----

-- The scan of a picture as forge.picture makes it.
local function scan_of(changes, options, read)
  return dicom.read(written(forge.file(forge.picture(changes), options)), read)
end

local function stored(changes, options) return scan_of(changes, options).stored:totable() end
local function shown(changes) return scan_of(changes):grey():totable() end
local function colours(changes, options) return scan_of(changes, options).values:totable() end

-- Changes of a picture of bytes: 2 rows, 3 columns.
local function bytes_picture(changes)
  local all = { [0x00280100] = { "US", 8 }, [0x00280101] = { "US", 8 }, [0x00280102] = { "US", 7 },
    [0x7FE00010] = { "OB", "\0\1\2\3\4\255" } }
  for tag, change in pairs(changes or {}) do all[tag] = change end
  return all
end

local function rgb_picture(changes)
  local all = bytes_picture { [0x00280002] = { "US", 3 }, [0x00280004] = { "CS", "RGB" }, [0x00280006] = { "US", 0 },
    [0x00280010] = { "US", 1 }, [0x00280011] = { "US", 2 }, [0x7FE00010] = { "OB", "\1\2\3\200\210\220" } }
  for tag, change in pairs(changes or {}) do all[tag] = change end
  return all
end

local function words(...) return { "OW", string.pack("<" .. ("I2"):rep(select("#", ...)), ...) } end

describe("stored values", function()
  it("have a sign where PixelRepresentation says so, and types that hold them", function()
    equal(stored {}, { 0, 1, 2, 300, 4, 65535 })
    equal(scan_of({}).values.dtype, "i32")
    equal(stored { [0x00280103] = { "US", 1 } }, { 0, 1, 2, 300, 4, -1 })
    equal(scan_of({ [0x00280103] = { "US", 1 } }).values.dtype, "i16")
    equal(scan_of({ [0x00280101] = { "US", 12 }, [0x00280102] = { "US", 11 } }).values.dtype, "i16")
    equal(scan_of(bytes_picture()).values.dtype, "u8")
    equal(stored(bytes_picture { [0x00280103] = { "US", 1 } }), { 0, 1, 2, 3, 4, -1 })
  end)

  it("are those bits of a cell that HighBit says; what lies above and below is none of them", function()
    local cells = words(0xF001, 0x0FFF, 0x7800, 0x8010, 0xFFFF, 0)
    local twelve = { [0x00280101] = { "US", 12 }, [0x00280102] = { "US", 11 }, [0x7FE00010] = cells }
    equal(stored(twelve), { 1, 4095, 0x800, 16, 4095, 0 })
    twelve[0x00280103] = { "US", 1 }
    equal(stored(twelve), { 1, -1, -2048, 16, -1, 0 })
    twelve[0x00280103], twelve[0x00280102] = nil, { "US", 15 }
    equal(stored(twelve), { 0xF00, 0xFF, 0x780, 0x801, 0xFFF, 0 })
    refuses(function()
      stored { [0x00280101] = { "US", 12 }, [0x00280102] = { "US", 3 } }
    end, "HighBit: expected 11 or more", "found 3")
  end)

  it("are read without preamble, in implicit VR, and of one bit", function()
    equal(stored({}, { bare = true }), { 0, 1, 2, 300, 4, 65535 })
    equal(stored({}, { bare = true, syntax = forge.IMPLICIT }), { 0, 1, 2, 300, 4, 65535 })
    equal(stored({}, { syntax = forge.IMPLICIT }), { 0, 1, 2, 300, 4, 65535 })
    equal(stored { [0x00280100] = { "US", 1 }, [0x00280101] = { "US", 1 }, [0x00280102] = { "US", 0 },
      [0x00280008] = { "IS", 2 }, [0x7FE00010] = { "OB", "\x35\x08" } },
      { 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1 }, "the second frame begins within a byte")
    equal(stored { [0x00280100] = { "US", 32 }, [0x00280101] = { "US", 32 }, [0x00280102] = { "US", 31 },
      [0x00280011] = { "US", 1 }, [0x7FE00010] = { "OW", string.pack("<I4I4", 7, 0xFFFFFFFF) } }, { 7, 0xFFFFFFFF })
  end)

  it("are of the picture, not of the icon in it", function()
    local icon = { { 0x28, 2, "US", 1 }, { 0x28, 4, "CS", "MONOCHROME2" }, { 0x28, 16, "US", 1 },
      { 0x28, 17, "US", 1 }, { 0x28, 256, "US", 8 }, { 0x7FE0, 16, "OW", "\9\9" } }
    equal(stored { [0x00880200] = { "SQ", { icon } } }, { 0, 1, 2, 300, 4, 65535 })
    refuses(function() scan_of { [0x00880200] = { "SQ", { icon } }, [0x7FE00010] = false } end, "without PixelData")
  end)

  it("have as many frames as are said, and a note where there are more", function()
    local scan = scan_of(bytes_picture { [0x00280008] = { "IS", 2 }, [0x7FE00010] = { "OB", ("\1"):rep(18) } })
    equal(scan.values.shape, { 2, 2, 3 })
    spec.holds(scan.notes[1], "more than the 2 frames")
    refuses(function() scan_of(bytes_picture { [0x00280008] = { "IS", 2 } }) end,
      "PixelData: expected 12 bytes (2 frames of 3x2), found 6")
    refuses(function() scan_of(bytes_picture { [0x00280008] = { "IS", -1 } }) end, "NumberOfFrames: expected 1 to")
    equal(scan_of(bytes_picture { [0x00280008] = { "IS", 0 } }).notes, { "NumberOfFrames is 0: taken as 1" })
  end)

  it("are one frame's where --frame says so", function()
    local two = bytes_picture { [0x00280008] = { "IS", 2 }, [0x7FE00010] = { "OB", "\0\1\2\3\4\5\10\11\12\13\14\15" } }
    local scan = scan_of(two, nil, { frame = 1 })
    equal({ scan.values.shape, scan.values:totable() }, { { 1, 2, 3 }, { 10, 11, 12, 13, 14, 15 } })
    equal(scan:grey():totable(), { 170, 187, 204, 221, 238, 255 }, "as all frames are shown")
    two[0x00281050], two[0x00281051] = { "DS", "10" }, { "DS", "11" }
    scan = scan_of(two, nil, { frame = 1 })
    equal({ scan.values:totable(), scan:grey():totable() },
      { { 10, 11, 12, 13, 14, 15 }, { 140, 166, 191, 217, 242, 255 } })
    refuses(function() scan_of(two, nil, { frame = 2 }) end, "--frame: expected 0 to 1", "found 2")
  end)
end)

describe("grey", function()
  local ramp = words(0, 100, 200, 300, 400, 500)
  local function window(c, w, f)
    return shown { [0x7FE00010] = ramp, [0x00281050] = { "DS", c }, [0x00281051] = { "DS", w },
      [0x00281056] = f and { "CS", f } }
  end
  it("follows the first window by its function", function()
    equal(window("250", "501"), { 0, 51, 102, 153, 204, 255 })
    equal(window({ "250", "40" }, { "501", "80" }), { 0, 51, 102, 153, 204, 255 })
    equal(window("250", "500", "LINEAR_EXACT"), { 0, 51, 102, 153, 204, 255 })
    equal(window("200.5", "1"), { 0, 0, 0, 255, 255, 255 })
    equal(window("200.5", "0.5"), { 0, 0, 0, 255, 255, 255 })
    equal(window("200", "0", "LINEAR_EXACT"), { 0, 0, 0, 255, 255, 255 })
    equal(window("250", "100", "SIGMOID"), { 0, 1, 30, 225, 254, 255 })
  end)

  it("is from least to most without a window, but for padding", function()
    equal(shown { [0x7FE00010] = ramp }, { 0, 51, 102, 153, 204, 255 })
    equal(shown { [0x7FE00010] = ramp, [0x00280120] = { "US", 0 } }, { 0, 0, 64, 128, 191, 255 })
    equal(shown { [0x7FE00010] = ramp, [0x00280120] = { "US", 500 }, [0x00280121] = { "US", 300 } },
      { 0, 128, 255, 255, 255, 255 })
    equal(shown { [0x7FE00010] = words(7, 7, 7, 7, 7, 7), [0x00280120] = { "US", 7 } }, { 0, 0, 0, 0, 0, 0 })
  end)

  it("is of what rescaling gives, and turned last", function()
    local rescaled = { [0x7FE00010] = ramp, [0x00281053] = { "DS", "2" }, [0x00281052] = { "DS", "-500" },
      [0x00281050] = { "DS", "0" }, [0x00281051] = { "DS", "1000" }, [0x00281056] = { "CS", "LINEAR_EXACT" } }
    equal(shown(rescaled), { 0, 51, 102, 153, 204, 255 })
    rescaled[0x00280004] = { "CS", "MONOCHROME1" }
    equal(shown(rescaled), { 255, 204, 153, 102, 51, 0 })
    local scan = scan_of(rescaled)
    equal({ scan.slope, scan.intercept, scan.stored:totable()[2] }, { 2, -500, 100 })
    rescaled[0x00281053] = { "DS", "0" }
    equal(scan_of(rescaled).notes, { "RescaleSlope is 0: taken as 1" })
  end)

  it("goes through modality and VOI tables", function()
    local modality = { { 0x28, 0x3002, "US", { 3, 100, 16 } },
      { 0x28, 0x3006, "OW", string.pack("<I2I2I2", 9, 5, 8) } }
    local scan = scan_of { [0x7FE00010] = words(0, 100, 101, 102, 103, 65535), [0x00283000] = { "SQ", { modality } } }
    equal(scan.values:totable(), { 9, 9, 5, 8, 8, 8 })
    equal(scan.stored:totable(), { 0, 100, 101, 102, 103, 65535 })
    equal(scan:grey():totable(), { 255, 255, 0, 191, 191, 191 })
    local voi = { { 0x28, 0x3002, "SS", { 4, -1, 8 } }, { 0x28, 0x3006, "OW", "\0\100\200\255" } }
    equal(shown { [0x7FE00010] = words(65535, 0, 1, 2, 3, 32768), [0x00280103] = { "US", 1 },
      [0x00283010] = { "SQ", { voi } }, [0x00281050] = { "DS", "1" }, [0x00281051] = { "DS", "2" } },
      { 0, 100, 200, 255, 255, 0 }, "bytes, two a word; before the window")
    refuses(function()
      shown { [0x00283010] = { "SQ", { { { 0x28, 0x3002, "US", { 300, 0, 16 } }, { 0x28, 0x3006, "OW", "ab" } } } } }
    end, "VOILUTSequence: expected 300 entries, found 2 bytes")
  end)

  it("may be another's in each frame", function()
    local function group(slope, centre)
      return { { 0x28, 0x9145, "SQ", { { { 0x28, 0x1052, "DS", "0" }, { 0x28, 0x1053, "DS", slope } } } },
        { 0x28, 0x9132, "SQ", { { { 0x28, 0x1050, "DS", centre }, { 0x28, 0x1051, "DS", "1" } } } } }
    end
    local twice = { "OB", "\0\1\2\3\4\5\0\1\2\3\4\5" }
    local scan = scan_of(bytes_picture { [0x00280008] = { "IS", 2 }, [0x7FE00010] = twice,
      [0x52009230] = { "SQ", { group("1", "2.6"), group("10", "35") } } })
    equal(scan.values:totable(), { 0, 1, 2, 3, 4, 5, 0, 10, 20, 30, 40, 50 })
    equal({ scan.slope, scan.intercept, scan.values.dtype }, { 1, 0, "f64" })
    equal(scan:grey():totable(), { 0, 0, 0, 255, 255, 255, 0, 0, 0, 0, 255, 255 })
  end)
end)

describe("colour", function()
  it("may lie in planes, have 16 bits, or fewer than its bytes", function()
    equal(colours(rgb_picture()), { 1, 2, 3, 200, 210, 220 })
    equal(colours(rgb_picture { [0x00280006] = { "US", 1 } }), { 1, 3, 210, 2, 200, 220 })
    local wide = { [0x00280100] = { "US", 16 }, [0x00280101] = { "US", 16 }, [0x00280102] = { "US", 15 },
      [0x7FE00010] = words(0x01FF, 0x0200, 0xFFFF, 0, 256, 511) }
    equal(colours(rgb_picture(wide)), { 1, 2, 255, 0, 1, 1 })
    wide[0x00280101], wide[0x00280102] = { "US", 12 }, { "US", 11 }
    wide[0x7FE00010] = words(0x01F, 0x020, 0xFFFF, 0, 16, 31)
    equal(colours(rgb_picture(wide)), { 1, 2, 255, 0, 1, 1 })
    equal(colours(rgb_picture { [0x00280101] = { "US", 4 }, [0x00280102] = { "US", 3 },
      [0x7FE00010] = { "OB", "\0\1\7\8\15\255" } }), { 0, 17, 119, 136, 255, 255 })
  end)

  it("is RGB from YBR, chroma whole or halved", function()
    local ybr = { [0x00280004] = { "CS", "YBR_FULL" }, [0x7FE00010] = { "OB", "\100\128\128\76\85\255" } }
    equal(colours(rgb_picture(ybr)), { 100, 100, 100, 254, 0, 0 })
    local halved = { [0x00280004] = { "CS", "YBR_FULL_422" }, [0x7FE00010] = { "OB", "\76\100\85\255" } }
    equal(colours(rgb_picture(halved)), { 254, 0, 0, 255, 24, 24 })
    ybr[0x00280004] = { "CS", "YBR_FULL_422" }
    local scan = scan_of(rgb_picture(ybr))
    equal(scan.values:totable(), { 100, 100, 100, 254, 0, 0 })
    spec.holds(scan.notes[1], "its chroma is not halved")
    local partial = { [0x00280004] = { "CS", "YBR_PARTIAL_422" }, [0x7FE00010] = { "OB", "\16\235\128\128" } }
    equal(colours(rgb_picture(partial)), { 0, 0, 0, 255, 255, 255 })
  end)

  local function palette(descriptor, tables, segmented)
    local changes = bytes_picture { [0x00280004] = { "CS", "PALETTE COLOR" } }
    for c = 1, 3 do
      changes[0x00281100 + c] = { "US", descriptor }
      changes[(segmented and 0x00281220 or 0x00281200) + c] = { "OW", tables[c] or tables[1] }
    end
    return changes
  end
  it("comes from palettes of 8 and 16 bits, first and last entry standing for all beyond", function()
    local scan = scan_of(palette({ 3, 1, 8 }, { "\10\20\30\0", "\11\21\31\0", "\12\22\32\0" }))
    equal(scan.values:totable(), { 10, 11, 12, 10, 11, 12, 20, 21, 22, 30, 31, 32, 30, 31, 32, 30, 31, 32 })
    equal(scan.stored:totable(), { 0, 1, 2, 3, 4, 255 })
    local high = string.pack("<I2I2I2", 0x0A00, 0x14FF, 0xFF00)
    equal(colours(palette({ 3, 1, 16 }, { high })), { 10, 10, 10, 10, 10, 10, 20, 20, 20, 255, 255, 255, 255, 255, 255,
      255, 255, 255 })
    equal(colours(palette({ 3, 1, 16 }, { string.pack("<I2I2I2", 10, 20, 255) }))[7], 20, "bytes in words")
    equal(colours(palette({ 3, 1, 16 }, { high, string.pack("<I2I2I2", 10, 20, 255) }))[8], 0, "one rule for all")
  end)

  it("comes from segmented palettes: discrete, linear, copied", function()
    local segments = string.pack("<I2I2I2 I2I2I2 I2I2I2I2", 0, 1, 0, 1, 4, 0x400, 2, 1, 0, 0)
    equal(scan_of(palette({ 6, 0, 16 }, { segments }, true)).values:totable(),
      { 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 0, 0, 0 })
    for _, wrong in ipairs { string.pack("<I2I2I2", 1, 4, 9), string.pack("<I2I2I2I2", 2, 1, 0, 0), "\3\0\1\0",
      string.pack("<I2I2I2", 0, 9, 1) } do
      refuses(function() scan_of(palette({ 6, 0, 16 }, { wrong }, true)) end, "palette: ")
    end
  end)
end)

describe("compressed frames", function()
  local rle = { syntax = forge.RLE }
  local frames = { forge.rle { "\0\1\2\3\4\5" }, forge.rle { "\6\7\8\9\10\11" } }
  local function rle_picture(value, count)
    return bytes_picture { [0x00280008] = { "IS", count }, [0x7FE00010] = { "OB", value, length = 0xFFFFFFFF } }
  end
  it("are fragments by tables of offsets, or one each", function()
    local both = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }
    equal(stored(rle_picture(forge.fragments(frames), 2), rle), both)
    equal(stored(rle_picture(forge.fragments(frames, { 0, #frames[1] + 8 }), 2), rle), both)
    local parts = { frames[1]:sub(1, 64), frames[1]:sub(65), frames[2] }
    equal(stored(rle_picture(forge.fragments(parts, { 0, #frames[1] + 16 }), 2), rle), both)
    equal(stored(rle_picture(forge.fragments(parts, { 0, #frames[1] + 16 }), 1), rle), { 0, 1, 2, 3, 4, 5 })
  end)

  it("are refused where fragments and frames do not fit", function()
    refuses(function() stored(rle_picture(forge.fragments(frames), 3), rle) end, "expected fragments for 3 frames")
    refuses(function() stored(rle_picture(forge.fragments {}, 1), rle) end, "expected fragments for 1 frames")
    refuses(function() stored(rle_picture(forge.fragments { frames[1]:sub(1, 68) }, 1), rle) end, "RLE: segment 0")
    refuses(function() stored(rle_picture(forge.fragments { forge.rle { "a", "b" } }, 1), rle) end,
      "RLE: expected 1 segments, found 2")
    local short = "\xFE\xFF\x00\xE0\0\0\0\0\xFE\xFF\x00\xE0\xFF\0\0\0ab"
    refuses(function() stored(rle_picture(short, 1), rle) end, "DICOM: expected a whole DICOM file")
  end)

  it("are refused by the name of what nothing here decodes", function()
    for uid, name in pairs { ["1.2.840.10008.1.2.4.201"] = "High-Throughput JPEG 2000 (Lossless Only)",
      ["1.2.840.10008.1.2.4.103"] = "MPEG-4", ["1.2.840.10008.1.2.4.92"] = "JPEG 2000 Part 2",
      ["1.2.3.4.5"] = "unknown" } do
      refuses(function() scan_of(rle_picture(forge.fragments { "a" }, 1), { syntax = uid }) end, uid, name)
    end
  end)
end)

describe("a file that is cut short", function()
  it("is refused, wherever it ends; what is behind the pixels may be damaged", function()
    local whole = forge.file(forge.picture())
    for left = #whole - 8, 160, -97 do
      refuses(function() dicom.read(written(whole:sub(1, left))) end, "a.dcm: DICOM: ")
    end
    refuses(function() dicom.read(written(whole:sub(1, -3))) end, "the file cut short")
    local scan = dicom.read(written(whole .. "\1\2\3"))
    equal(scan.values:totable(), { 0, 1, 2, 300, 4, 65535 })
    spec.holds(scan.notes[1], "behind its pixels the file is damaged")
  end)

  it("is refused at once where a length claims gigabytes", function()
    refuses(function()
      scan_of { [0x7FE00010] = { "OW", ("\0"):rep(12), length = 0xFFFFFF00 } }
    end, "PixelData: expected 4294967040 bytes as it says, found the file cut short")
  end)
end)

describe("what is no picture", function()
  it("is refused by its kind", function()
    refuses(function()
      scan_of { [0x7FE00010] = false, [0x00080016] = { "UI", "1.2.840.10008.5.1.4.1.1.88.11" } }
    end, "a.dcm: DICOM: expected a picture", "BasicTextSR")
    refuses(function() scan_of { [0x7FE00010] = false, [0x7FE00008] = { "OF", ("\0"):rep(24) } } end, "FloatPixelData")
    refuses(function() scan_of { [0x7FE00010] = false, [0x7FE00009] = { "OD", ("\0"):rep(48) } } end,
      "DoubleFloatPixelData")
    refuses(function() scan_of { [0x00280010] = false } end, "Rows: expected a number, found none")
    refuses(function() scan_of { [0x00280011] = { "US", 0 } } end, "Columns: expected 1 to 16384, found 0")
    refuses(function() scan_of { [0x00280100] = { "US", 12 } } end, "BitsAllocated: expected 1, 8, 16 or 32, found 12")
    refuses(function() scan_of { [0x00280101] = { "US", 17 } } end, "BitsStored: expected 1 to 16, found 17")
    refuses(function() scan_of { [0x00280004] = { "CS", "HSV" } } end, "PhotometricInterpretation: expected grey")
    refuses(function() scan_of { [0x00280002] = { "US", 3 } } end, "SamplesPerPixel: expected 1 with MONOCHROME2")
    refuses(function() dicom.read(written "no DICOM at all") end, "expected a DICOM file")
  end)
end)
