-- SPDX-License-Identifier: Apache-2.0
--- The Medical Segmentation Decathlon: dataset.json lists `training`, pairs of image and label, and names `labels`,
-- value to name. Its `test` has images alone.
local datasets = require "evaluate.datasets"
local fail = require "support.fail"

local layout = {}

local function classes_of(about, file)
  local found = {}
  if type(about.labels) ~= "table" then fail("%s: labels: expected values with their names, found none", file) end
  for value, name in pairs(about.labels) do
    if type(name) ~= "string" then fail("%s: labels: %s: expected a name, found another value", file,
      (tostring(value):sub(1, 60):gsub("%c", " "))) end
    found[#found + 1] = { name, value }
  end
  table.sort(found, function(a, b) return tostring(a[2]) < tostring(b[2]) end)
  return datasets.classes(found, file .. ": labels")
end

-- A set with several modalities holds them as a fourth axis of each image.
local function check_modalities(about, file, options)
  local count = 0
  for _ in pairs(type(about.modality) == "table" and about.modality or {}) do count = count + 1 end
  if count > 1 and not options.channel then
    fail("%s: modality: expected one, or --channel to choose of them, found %d", file, count)
  end
end

--- @param path of the folder  @param options of datasets.open  @param about what dataset.json holds
function layout.read(path, options, about)
  local file, json = path .. "/dataset.json", require "msagen.json"
  if options.split == "test" then
    fail("--split test: expected images with labels, found that the Decathlon's test images have none")
  end
  if options.split and options.split ~= "training" then datasets.no_split(options.split, { "training" }, file) end
  if options.classes then fail("--classes: expected with folders of images and masks, found %s, which names them",
    file) end
  if not json.is_array(about.training) then fail("%s: training: expected a list, found another value", file) end
  check_modalities(about, file, options)
  local classes, cases = classes_of(about, file), {}
  for i, pair in ipairs(about.training) do
    local where = ("%s: training %d"):format(file, i - 1)
    if type(pair) ~= "table" or type(pair.image) ~= "string" or type(pair.label) ~= "string" then
      fail("%s: expected image and label, found another value", where)
    end
    local function at(name) return path .. "/" .. name:gsub("^%./", "") end
    cases[i] = { name = datasets.stem(pair.image), image = datasets.must_exist(at(pair.image), where .. ": image"),
      label = datasets.must_exist(at(pair.label), where .. ": label"), classes = classes, channel = options.channel }
  end
  return { cases = cases }
end

return layout
