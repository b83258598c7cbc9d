-- SPDX-License-Identifier: Apache-2.0
--- nnU-Net v2: dataset.json has channel_names, labels (name to value, or to a list of values that are one region),
-- file_ending. Channel C of case X is imagesTr/X_000C, its mask labelsTr/X; those to test with are in imagesTs and
-- labelsTs. A `dataset` object may list other paths. splits_final.json has the folds.
local closed = require "support.closed"
local datasets = require "evaluate.datasets"
local fail = require "support.fail"
local json = require "msagen.json"
local sys = require "msagen.sys"

local layout = {}

local function classes_of(about, file)
  local found = {}
  if type(about.labels) ~= "table" then fail("%s: labels: expected names with their values, found none", file) end
  for name, value in pairs(about.labels) do found[#found + 1] = { tostring(name), value } end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return datasets.classes(found, file .. ": labels")
end

local function channel_of(about, file, wanted)
  local channels = {}
  for key in pairs(type(about.channel_names) == "table" and about.channel_names or {}) do
    channels[#channels + 1] = math.tointeger(tonumber(key))
  end
  table.sort(channels)
  if #channels > 1 and not wanted then
    fail("%s: channel_names: expected one, or --channel to choose of them, found %d", file, #channels)
  end
  for _, channel in ipairs(channels) do
    if channel == (wanted or channels[1]) then return channel end
  end
  fail("%s: channel_names: expected a channel %s, found none", file, wanted or 0)
end

-- The names of a fold's cases: val:0, train:2.
local function fold(path, split)
  local part, number = split:match "^(%l+):(%d+)$"
  local file = path .. "/splits_final.json"
  if part ~= "train" and part ~= "val" then
    datasets.no_split(split, { "all", "test", "train:FOLD", "val:FOLD" }, "nnU-Net v2")
  end
  if not sys.exists(file) then fail("--split %s: expected %s, found none", split, file) end
  local folds = json.decode(sys.read_file(file), file)
  if not json.is_array(folds) then fail("%s: expected a list of folds, found another value", file) end
  local one = folds[math.tointeger(tonumber(number)) + 1]
  if not one then fail("--split %s: expected a fold from 0 to %d, as %s has", split, #folds - 1, file) end
  local list, names = type(one) == "table" and one[part], {}
  if not json.is_array(list) then fail("%s: fold %s: expected a list %s, found none", file, number, part) end
  for _, name in ipairs(list) do names[datasets.name(name, file)] = true end
  return names, file
end

-- Cases that dataset.json lists itself.
local function listed(path, about, channel, file)
  local cases = {}
  for _, name in ipairs(closed.sorted(about.dataset)) do
    local one, where = about.dataset[name], ("%s: dataset: %s"):format(file, (name:sub(1, 60):gsub("%c", " ")))
    local images = type(one) == "table" and one.images
    local image = json.is_array(images) and images[channel + 1]
    if type(image) ~= "string" or type(one.label) ~= "string" then
      fail("%s: expected images and label, found another value", where)
    end
    local function at(p) return p:sub(1, 1) == "/" and p or path .. "/" .. p end
    cases[#cases + 1] = { name = name, image = datasets.must_exist(at(image), where .. ": image"),
      label = datasets.must_exist(at(one.label), where .. ": label") }
  end
  return cases
end

-- Cases by the names of their masks.
local function found_in(path, which, channel, ending)
  local labels, images = path .. "/labels" .. which, path .. "/images" .. which
  if not sys.isdir(labels) or not sys.isdir(images) then
    fail("--data %s: expected folders images%s and labels%s, found not both", path, which, which)
  end
  local cases, masked, unmasked = {}, {}, {}
  for _, name in ipairs(datasets.visible(labels)) do
    if name:sub(-#ending) == ending and #name > #ending then
      local case = name:sub(1, -#ending - 1)
      local image = ("%s/%s_%04d%s"):format(images, case, channel, ending)
      datasets.must_exist(image, ("%s/%s: image"):format(labels, name))
      cases[#cases + 1], masked[case] = { name = case, image = image, label = labels .. "/" .. name }, true
    end
  end
  for _, name in ipairs(datasets.visible(images)) do
    local case = name:match "^(.+)_%d%d%d%d%."
    if case and not masked[case] then unmasked[#unmasked + 1] = case end
  end
  local notes = #unmasked > 0 and { ("%d images without a mask (the first: %s): not evaluated"):format(#unmasked,
    unmasked[1]) } or {}
  return cases, notes
end

-- Those of a fold, each of which must be there.
local function chosen(cases, names, file)
  local kept = {}
  for _, case in ipairs(cases) do
    if names[case.name] then kept[#kept + 1], names[case.name] = case, nil end
  end
  local missing = next(names)
  if missing then fail("%s: expected a case %s, as the fold names it, found none", file, closed.sorted(names)[1]) end
  return kept
end

--- @param path of the folder  @param options of datasets.open  @param about what dataset.json holds
function layout.read(path, options, about)
  local file, split, ending = path .. "/dataset.json", options.split or "all", about.file_ending
  if type(ending) ~= "string" or not ending:match "^%.[%w.]+$" then
    fail("%s: file_ending: expected an ending such as .nii.gz, found another value", file)
  end
  if options.classes then fail("--classes: expected with folders of images and masks, found %s, which names them",
    file) end
  local channel, classes = channel_of(about, file, options.channel), classes_of(about, file)
  local names, names_file
  if split ~= "all" and split ~= "test" then names, names_file = fold(path, split) end
  local cases, notes
  if type(about.dataset) == "table" and split ~= "test" then cases = listed(path, about, channel, file)
  else cases, notes = found_in(path, split == "test" and "Ts" or "Tr", channel, ending) end
  if names then cases = chosen(cases, names, names_file) end
  for _, case in ipairs(cases) do case.classes = classes end
  return { cases = cases, notes = notes }
end

return layout
