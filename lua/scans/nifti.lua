-- SPDX-License-Identifier: Apache-2.0
--- NIfTI volumes as scans, and volumes written as NIfTI. NIfTI-1 and -2, .nii, .nii.gz, and pairs of .hdr and .img.
local fail = require "support.fail"
local place = require "scans.place"
local sys = require "msagen.sys"

local nifti = {}

--- What --axis may name: a file's own axes, or the plane that slices lie in.
nifti.AXES = { "i", "j", "k", "sagittal", "coronal", "axial" }

local FILE_AXIS = { i = 1, j = 2, k = 3 }
local ACROSS = { sagittal = "[RL]", coronal = "[AP]", axial = "[SI]" }
-- How [K,J,I] becomes slices along an axis: what remains keeps its order, so columns are the axis that is fastest.
local ORDERS = { { 3, 1, 2 }, { 2, 1, 3 }, { 1, 2, 3 } }

--- Whether a file's name says that it is NIfTI.
function nifti.is_name(path)
  local name = path:lower():gsub("%.gz$", "")
  return name:match "%.nii$" ~= nil or name:match "%.hdr$" ~= nil or name:match "%.img$" ~= nil
end

--- Whether a file's first bytes are those of a header of NIfTI (or of ANALYZE, which is refused by what reads it).
function nifti.is_start(start)
  for _, bytes in ipairs { "\x5c\x01\0\0", "\0\0\x01\x5c", "\x1c\x02\0\0", "\0\0\x02\x1c" } do
    if start:sub(1, 4) == bytes then return true end
  end
  return false
end

-- The header's file and the image's of a pair, whichever was named; of a single file that one, and nil.
local function files_of(path)
  local stem, what, packed = path:match "^(.*)%.([HhIi][DdMm][RrGg])(%.?[Gg]?[Zz]?)$"
  what = what and what:lower()
  if what ~= "hdr" and what ~= "img" then return path, nil end
  local function other(ending)
    if path:match "%.%u+%.?%u*$" then ending = ending:upper() end
    for _, gz in ipairs { packed, packed == "" and ".gz" or "" } do
      local name = ("%s.%s%s"):format(stem, ending, gz)
      if sys.exists(name) then return name end
    end
    fail("%s: NIfTI: expected %s.%s beside it, the other file of the pair, found none", path, stem, ending)
  end
  if what == "hdr" then return path, other "img" end
  return other "hdr", path
end

local function axis_of(path, wanted, letters)
  if not wanted then return 3 end
  if FILE_AXIS[wanted] then return FILE_AXIS[wanted] end
  local axis = letters and letters:find(ACROSS[wanted])
  if not axis then
    fail("%s: --axis %s: expected a file that says where its axes lead, found one without: --axis i, j or k", path,
      wanted)
  end
  return axis
end

local function notes_of(facts, of)
  local notes = {}
  if facts.unusable then
    notes[1] = "its transform into the patient is not usable: taken as if the file had none"
  elseif facts.form == "none" then
    notes[1] = "it does not say how it lies in the patient: right and left may be exchanged"
  end
  if facts.form ~= "none" then notes[#notes + 1] = place.said(of) end
  return notes
end

--- Read a volume.
-- @param options { frame = which volume of several, from 0; axis = one of nifti.AXES, along which slices are taken,
--   default k; or nil }
-- @return scan; its place has `header`, what is needed to write a mask back
function nifti.read(path, options)
  options = options or {}
  local header, image = files_of(path)
  local values, facts = require("msagen.nifti").read(header, image, options.frame)
  local axis = axis_of(path, options.axis, facts.form ~= "none" and facts.directions)
  local order, file, shape = ORDERS[axis], { 3, 2, 1 }, values.shape
  local of = { affine = facts.affine, axes = {}, shape = { shape[3], shape[2], shape[1] }, header = facts.header,
    assumed = facts.form == "none" or nil }
  of.affine[4] = { 0.0, 0.0, 0.0, 1.0 }
  local spacing = {}
  for d = 1, 3 do
    of.axes[d] = { axis = file[order[d]], flipped = false }
    local mm = facts.spacing[file[order[d]]]
    spacing[d] = mm > 0 and mm or false
  end
  if axis ~= 3 then values = values:permute(facts.colour and { order[1], order[2], order[3], 4 } or order) end
  return { format = "nifti", path = path, values = values, colour = facts.colour, slope = facts.slope,
    intercept = facts.intercept, spacing = (spacing[1] or spacing[2] or spacing[3]) and spacing or nil, place = of,
    notes = notes_of(facts, of), orientation = 1, frames = facts.frames }
end

--- Write a volume on a scan's grid.
-- @param values [N,H,W], or u8 [N,H,W,3] in colour
-- @param of { place = of these values, or nil; spacing = { N, H, W } mm where there is no place; slope, intercept }
-- @param labels whether they are labels, which take as few bytes as they need
-- @param gzip whether the file is compressed
function nifti.write(path, values, of, labels, gzip)
  local where, spacing = of.place, nil
  if not where and of.spacing then
    spacing = { of.spacing[3] or 0, of.spacing[2] or 0, of.spacing[1] or 0 }
  end
  require("msagen.nifti").write(path, where and place.filed(values, where) or values, {
    header = where and where.header, affine = where and not where.header and where.affine or nil, spacing = spacing,
    slope = of.slope, intercept = of.intercept, labels = labels, gzip = gzip })
end

return nifti
