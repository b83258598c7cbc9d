-- SPDX-License-Identifier: Apache-2.0
--- Folders images/ and masks/ (or labels/) whose files have the same names but for their endings. A split is a folder
-- that holds such two.
local datasets = require "evaluate.datasets"
local fail = require "support.fail"
local sys = require "msagen.sys"

local layout = {}

-- { [stem] = path } and the stems.
local function by_stem(path)
  local files, stems = {}, {}
  for _, name in ipairs(datasets.visible(path)) do
    local stem = datasets.stem(name)
    if files[stem] then fail("%s: expected one file %s, found two of different endings", path, stem) end
    files[stem], stems[#stems + 1] = path .. "/" .. name, stem
  end
  return files, stems
end

local function lonely(count, first, what, other)
  return ("%d %s without %s (the first: %s): not evaluated"):format(count, what, other, first)
end

--- @param path of the folder  @param options of datasets.open
function layout.read(path, options)
  local root = options.split and path .. "/" .. options.split or path
  if options.split and not sys.isdir(root) then
    fail("--split %s: expected a folder %s with images/ and masks/, found none", options.split, root)
  end
  local masks_at = sys.isdir(root .. "/masks") and root .. "/masks" or root .. "/labels"
  if not sys.isdir(root .. "/images") or not sys.isdir(masks_at) then
    fail("--data %s: expected dataset.json, or folders images/ and masks/ (or labels/), found neither", root)
  end
  local images, stems = by_stem(root .. "/images")
  local masks, mask_stems = by_stem(masks_at)
  local cases, notes, without, alone = {}, {}, {}, {}
  for _, stem in ipairs(stems) do
    if masks[stem] then
      cases[#cases + 1] = { name = stem, image = images[stem], label = masks[stem],
        classes = options.classes or { { name = "inside" } } }
    else
      without[#without + 1] = stem
    end
  end
  for _, stem in ipairs(mask_stems) do
    if not images[stem] then alone[#alone + 1] = stem end
  end
  if #without > 0 then notes[1] = lonely(#without, without[1], "images", "a mask") end
  if #alone > 0 then notes[#notes + 1] = lonely(#alone, alone[1], "masks", "an image") end
  return { cases = cases, notes = notes }
end

return layout
