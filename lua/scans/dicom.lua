-- SPDX-License-Identifier: Apache-2.0
--- DICOM files, and folders that are one series, as scans.
local fail = require "support.fail"
local recognise = require "scans.dicom.recognise"
local sys = require "msagen.sys"

local dicom = {}

--- Whether a path leads to a DICOM file, or to a folder that holds one.
function dicom.is_dicom(path)
  if not sys.isdir(path) then return recognise.file(path) end
  for _, name in ipairs(sys.list(path)) do
    if recognise.file(path .. "/" .. name) then return true end
  end
  return false
end

--- Read a file, or a folder that is one series.
-- @param path of a file or a folder
-- @param options table or nil: frame = number of the one frame (of a folder: slice) that is wanted, from 0;
--   uneven = true: take a series whose slices are not evenly spaced
-- @return scan
function dicom.read(path, options)
  fail("%s: DICOM: not yet read%s", path, options and "" or "")
end

return dicom
