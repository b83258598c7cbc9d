-- SPDX-License-Identifier: Apache-2.0
--- Image files of any format as scans. A scan is
--   format       "png", "jpeg", "tiff", "npy", "dicom" or "nifti"
--   path         of the file
--   values       grey: [N,H,W] as stored (N slices or frames, rows, columns; unsigned numbers of 16 and 32 bits in the
--                next wider type); colour: u8 [N,H,W,3], red, green and blue
--   colour       boolean
--   slope, intercept  what a stored number means (Hounsfield units, say) is slope * stored + intercept; or modality_lut
--   spacing      { N, H, W } in mm, false where not known; or nil
--   grey         function(scan) -> u8 [N,H,W] as the file's own rule shows it; nil where the format has none
--   place        where it lies (lua/scans/place.lua), or nil; `header`: what a NIfTI file is written back with
--   notes        lines that a person should know
--   orientation  EXIF's, by which it was turned; 1: as stored
-- Which format a file has its first bytes say, never its name; the name only where the bytes say nothing.
local fail = require "support.fail"
local sys = require "msagen.sys"

local scan = {}

local LOOKED_AT = 64

-- PNG and JPEG as 8 bits, as msagen.image has them.
local function read_picture(path, options, format)
  local t, notes, orientation, grey = require("msagen.image").read(path, options.bits)
  local height, width = t.shape[1], t.shape[2]
  local values = grey and t:slice(3, 0, 1):reshape { 1, height, width } or t:reshape { 1, height, width, 3 }
  return { format = format, path = path, values = values, colour = not grey, rgb = t:reshape { 1, height, width, 3 },
    notes = notes, orientation = orientation }
end

local function read_npy(path)
  local t = require("msagen.npy").read(path)
  local shape = t.shape
  local colour = t.dtype == "u8" and shape[#shape] == 3 and #shape > 2
  if #shape < 2 or #shape > (colour and 4 or 3) then
    fail("%s: image: expected [H,W], [N,H,W], or uint8 [H,W,3] or [N,H,W,3] in colour, found %s [%s]", path, t.dtype,
      table.concat(shape, ","))
  end
  local values = t
  if #shape == 2 then values = t:reshape { 1, shape[1], shape[2] }
  elseif colour and #shape == 3 then values = t:reshape { 1, shape[1], shape[2], 3 } end
  return { format = "npy", path = path, values = values, colour = colour, array = t, notes = {}, orientation = 1 }
end

local function read_dicom(path, options) return require("scans.dicom").read(path, options) end

-- Formats in the order in which they are looked for: before "DICM" a DICOM file may have another format's start.
local FORMATS = {
  { "png", function(start) return start:sub(1, 8) == "\x89PNG\r\n\x1a\n" end, read_picture },
  { "jpeg", function(start) return start:sub(1, 3) == "\xff\xd8\xff" end, read_picture },
  { "npy", function(start) return start:sub(1, 6) == "\x93NUMPY" end, read_npy },
  { "dicom", function(_, path) return require("scans.dicom").is_dicom(path) end, read_dicom },
  { "tiff", function(start) return require("scans.tiff").is_start(start) end,
    function(path, options) return require("scans.tiff").read(path, options) end },
  { "nifti", function(start, path)
    local nifti = require "scans.nifti"
    return nifti.is_start(start) or start:sub(1, 2) == "\x1f\x8b" or nifti.is_name(path)
  end, function(path, options) return require("scans.nifti").read(path, options) end },
}

--- The format of a file by what it holds, and what reads it; or nil.
function scan.format(path)
  if sys.isdir(path) then
    if require("scans.dicom").is_dicom(path) then return "dicom", read_dicom end
    return nil
  end
  local start = sys.read_start(path, LOOKED_AT)
  for _, format in ipairs(FORMATS) do
    if format[2](start, path) then return format[1], format[3] end
  end
end

local NAMES = { png = "a PNG", jpeg = "a JPEG", npy = "an NPY", nifti = "a NIfTI", dicom = "a DICOM", tiff = "a TIFF" }
local SEVERAL = { nifti = true, dicom = true, tiff = true }

--- Read an image file, or a folder that is one series of DICOM files.
-- @param options { frame = which of several volumes (NIfTI), images (DICOM) or pages (TIFF), from 0; axis = along which
--   a NIfTI volume is sliced; bits = of a 16-bit PNG's values }, each may be missing; or nil
-- @return scan; what is wrong is an error
function scan.read(path, options)
  options = options or {}
  local format, read = scan.format(path)
  if not format and sys.isdir(path) then
    fail("%s: image: expected a file, or a folder of DICOM files, found a folder without any", path)
  end
  if not format then
    local ok, problem = pcall(require("msagen.image").read, path)
    local text = not ok and type(problem) == "table" and problem.msagen
    local found = text and text:match "^.*expected a PNG or JPEG image, found (.*)$"
    if not found then error(problem, 0) end
    fail("%s: image: expected PNG, JPEG, TIFF, DICOM, NIfTI or NPY, found %s", path,
      found == "neither" and "another format" or found)
  end
  if options.axis and format ~= "nifti" then
    fail("%s: --axis %s: expected a NIfTI volume, found %s file", path, options.axis, NAMES[format])
  end
  if options.frame and not SEVERAL[format] then
    fail("%s: --frame %d: expected a file that may hold several images, found %s file", path, options.frame,
      NAMES[format])
  end
  if options.bits and format ~= "png" and format ~= "jpeg" then
    fail("--image-bits %d: expected a PNG of 16 bits, found %s file: %s", options.bits, NAMES[format], path)
  end
  local found = read(path, options, format)
  found.path = found.path or path
  found.slope, found.intercept = found.slope or 1, found.intercept or 0
  return found
end

return scan
