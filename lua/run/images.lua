-- SPDX-License-Identifier: Apache-2.0
--- The images of a run, and the names that belong to each: `{name}` in an option stands for the image's file name
-- without folder and ending.
local fail = require "support.fail"
local sys = require "msagen.sys"

local images = {}

-- What is an image in a folder of images. A folder without any, one series of DICOM files say, is one image.
local ENDINGS = { [".png"] = true, [".jpg"] = true, [".jpeg"] = true, [".npy"] = true, [".tif"] = true,
  [".tiff"] = true, [".nii"] = true, [".nii.gz"] = true }

--- A file's name without folder and ending, and its ending in lower case: "scan", ".nii.gz".
function images.stem(path)
  local name = path:gsub("(.)/+$", "%1"):match "[^/]*$"
  local stem, ending = name:match "^(.+)(%.[Nn][Ii][Ii]%.[Gg][Zz])$"
  if not stem then stem, ending = name:match "^(.+)(%.%w+)$" end
  return stem or name, (ending or ""):lower()
end

local function within(folder)
  local list = {}
  for _, name in ipairs(sys.list(folder)) do
    local path = folder:gsub("/+$", "") .. "/" .. name
    local _, ending = images.stem(name)
    if ENDINGS[ending] and not name:match "^%." and not sys.isdir(path) then list[#list + 1] = path end
  end
  table.sort(list)
  return list
end

--- The images that options name: { { path =, name = }... }, and whether they are several, each with results of its own.
-- What is said once for all is said so for a folder of one image, too.
function images.list(paths)
  local list, several, of = {}, #paths > 1, {}
  for _, path in ipairs(paths) do
    local inside = sys.isdir(path) and within(path) or {}
    several = several or #inside > 0
    for _, one in ipairs(#inside > 0 and inside or { path }) do
      local name = images.stem(one)
      if of[name] then
        fail("--image %s: expected images of different names, as their results are named by them, found that of %s",
          one, of[name])
      end
      of[name] = one
      list[#list + 1] = { path = one, name = name }
    end
  end
  return list, several
end

--- The ending of an image's masks in a folder: arrays and NIfTI files have such masks, which may be volumes.
function images.mask_ending(image)
  local _, ending = images.stem(image.path)
  if ending == ".nii" then return ".nii.gz" end
  return (ending == ".npy" or ending == ".nii.gz") and ending or ".png"
end

local function filled(pattern, name) return (pattern:gsub("{name}", (name:gsub("%%", "%%%%")))) end

--- Where an image's result goes: `{name}` filled in; of several images else `NAME.ENDING` in a folder.
function images.output(option, given, image, several, ending)
  if given:find("{name}", 1, true) then return filled(given, image.name) end
  if not several then return given end
  local _, found = images.stem(given)
  if ending ~= "" and found ~= "" and not sys.isdir(given) then
    fail("%s %s: expected a folder or a name with {name} in it, as there are several images, found one name", option,
      given)
  end
  return ("%s/%s%s"):format(given:gsub("(.)/+$", "%1"), image.name, ending)
end

--- What belongs to an image: `{name}` filled in; or of a folder the file that is called as the image.
function images.input(option, given, image)
  if given:find("{name}", 1, true) then return filled(given, image.name) end
  if not sys.isdir(given) then return given end
  local found = {}
  for _, name in ipairs(sys.list(given)) do
    if images.stem(name) == image.name then found[#found + 1] = given:gsub("/+$", "") .. "/" .. name end
  end
  if #found == 1 then return found[1] end
  fail("%s %s: expected a file that is called %s, as the image, found %s", option, given, image.name,
    #found == 0 and "none" or table.concat(found, ", "))
end

return images
