-- SPDX-License-Identifier: Apache-2.0
--- TIFF images, and stacks of pages of one size, as scans.
local tiff = {}

--- Whether a file's first bytes are those of TIFF or BigTIFF.
function tiff.is_start(start)
  local four = start:sub(1, 4)
  return four == "II*\0" or four == "MM\0*" or four == "II+\0" or four == "MM\0+"
end

--- Read a file.
-- @param options { frame = one page of several, from 0 }, or nil: all pages, as slices
-- @return scan
function tiff.read(path, options)
  local values, facts = require("msagen.tiff").read(path, options and options.frame)
  local notes, spacing, shape = {}, nil, values.shape
  local function note(format, ...) notes[#notes + 1] = format:format(...) end
  if facts.orientation > 1 then
    note("turned by its orientation tag %d, to %dx%d", facts.orientation, shape[3], shape[2])
  end
  if facts.inverted then note "its white is stored as 0: inverted" end
  if facts.clear then note "not all of it is opaque, perhaps: its colours are taken, its transparency is not" end
  if facts.reduced then note "of colours of 16 bits the upper 8 are taken" end
  if facts.spacing[1] > 0 then
    spacing = { false, facts.spacing[1], facts.spacing[2] }
    note("pixels of %.4g x %.4g mm, as its resolution tags say", spacing[3], spacing[2])
  end
  return { format = "tiff", path = path, values = values, colour = facts.colour, spacing = spacing, notes = notes,
    orientation = facts.orientation, frames = facts.pages }
end

return tiff
