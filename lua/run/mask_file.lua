-- SPDX-License-Identifier: Apache-2.0
--- A mask as a file: PNG, NPY or NIfTI, by the name's ending, on the grid that the image had before it was prepared.
local ending = require("run.outputs").ending

local mask_file = {}

--- Write a mask, 0 or 255, or in NIfTI 0 or 1 on the whole grid of the image's file.
-- @param path where  @param name what the file will be called
-- @param mask u8 [N',H',W'] of the picture
-- @param input what run/inputs.lua gives of the image
-- @param labelled whether its values are labels, which are written as they are
function mask_file.write(path, name, mask, input, labelled)
  local kind = ending(name)
  if kind:match "^%.nii" then
    local labels = input:whole(mask)
    if not labelled then labels = labels:scale(1 / 255) end
    return require("scans.nifti").write(path, labels, { place = input.scan.place, spacing = input.scan.spacing },
      true, kind == ".nii.gz")
  end
  mask = input:back(mask)
  if mask.shape[1] == 1 then mask = mask:reshape { mask.shape[2], mask.shape[3] } end
  local write = kind == ".npy" and require("msagen.npy").write or require("msagen.image").write_png
  write(path, mask)
end

return mask_file
