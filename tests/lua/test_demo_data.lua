-- SPDX-License-Identifier: Apache-2.0
-- The data sets of demo/data, and the demos' own images in the same form: what each layout promises.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local image, json, sys = spec.host "msagen.image", spec.host "msagen.json", spec.host "msagen.sys"
local gzip, npy = spec.host "msagen.gzip", spec.host "msagen.npy"
if not sys then return end

local demo = msagen.datadir .. "/demo/"
local data = demo .. "data/"
local SETS = { "carotid", "dermoscopy", "fetal-head", "fundus", "hippocampus", "spleen" }

local function sorted(list)
  table.sort(list)
  return list
end

-- Stems of a folder's files, sorted.
local function stems(folder)
  local list = {}
  for i, name in ipairs(sys.list(folder)) do list[i] = name:match "^([^.]+)%." end
  return sorted(list)
end

-- Image and mask have one size. @return the mask's values, sorted, and its pixels
local function pair(picture, mask)
  local shape, labels, facts = image.read(picture).shape, image.labels(mask)
  equal({ labels.shape[1], labels.shape[2] }, { shape[1], shape[2] }, mask)
  local values = {}
  for i, one in ipairs(facts.list) do values[i] = one[1] end
  return sorted(values), labels
end

-- The text of a .nii.gz after its header, and the volume's extents.
local function volume(path)
  local bytes = gzip.read(path)
  local dimensions, x, y, z = ("<i2i2i2i2"):unpack(bytes, 41)
  equal({ dimensions, (("<z"):unpack(bytes, 345)) }, { 3, "n+1" }, path)
  return bytes:sub(353), { x, y, z }
end

-- A CSV file's columns, and its rows as { [column] = value }.
local function rows(path)
  local columns, list = nil, {}
  for line in sys.read_file(path):gmatch "[^\n]+" do
    local fields, rest = {}, line .. ","
    while rest ~= "" do
      local field, after = rest:match '^"([^"]*)",(.*)$'
      if not field then field, after = rest:match "^([^,]*),(.*)$" end
      fields[#fields + 1], rest = field, after
    end
    columns = columns or fields
    equal(#fields, #columns, path .. ": " .. line)
    local row = {}
    for i, column in ipairs(columns) do row[column] = fields[i] end
    list[#list + 1] = row
  end
  table.remove(list, 1)
  return columns, list
end

-- Points "X,Y[,LABEL] ..." as {{ x, y, label }...}; nil where the text is none.
local function points(text)
  local list = {}
  for word in text:gmatch "%S+" do
    local x, y, label = word:match "^(%d+),(%d+)(.*)$"
    if not x then return nil end
    label = label == "" and "1" or label:match "^,([01])$"
    list[#list + 1] = { math.tointeger(x), math.tointeger(y), math.tointeger(label) }
  end
  return list
end

describe("the data of the demo", function()
  it("is small, and each set has its licence and a row in the README", function()
    local total, readme, found = 0, sys.read_file(data .. "README.md"), {}
    local function walk(folder)
      for _, name in ipairs(sys.list(folder)) do
        if sys.isdir(folder .. name) then walk(folder .. name .. "/")
        else total = total + #sys.read_file(folder .. name) end
      end
    end
    walk(data)
    assert(total < 6000000, total)
    for _, name in ipairs(sys.list(data)) do
      if sys.isdir(data .. name) then found[#found + 1] = name end
    end
    equal(sorted(found), SETS)
    for _, name in ipairs(SETS) do
      local licence = sys.read_file(data .. name .. "/LICENCE.txt"):match "CC0" or
        sys.read_file(data .. name .. "/LICENCE.txt"):match "CC BY[-SA]* 4%.0"
      equal(readme:match("\n| `" .. name:gsub("%-", "%%-") .. "` |[^\n]*| ([^|]*) |\n"), licence, name)
    end
  end)

  it("in folders has a mask for each image, of two values and of its size", function()
    for _, name in ipairs { "carotid", "dermoscopy", "fetal-head", "fundus" } do
      local images, masks = data .. name .. "/images/", data .. name .. "/masks/"
      equal(stems(images), stems(masks), name)
      for _, file in ipairs(sys.list(images)) do
        equal((pair(images .. file, masks .. file:gsub("%.%l+$", ".png"))), { 0, 255 }, file)
      end
    end
  end)

  it("in CSV lists each image once, and its clicks lie where their labels say", function()
    for _, name in ipairs { "carotid", "fundus" } do
      local folder, cases, clicks = data .. name .. "/", {}, 0
      local _, list = rows(folder .. "evaluate.csv")
      for i, row in ipairs(list) do
        cases[i] = row.case
        local _, labels = pair(folder .. row.image, folder .. row.label)
        for _, point in ipairs(points(row.prompt or "")) do
          clicks = clicks + 1
          equal(labels:get(point[2] + 1, point[1] + 1) > 0 and 1 or 0, point[3], row.image)
        end
      end
      equal(sorted(cases), stems(folder .. "images"), name)
      equal(clicks, name == "fundus" and 2 * #list or 0)
    end
  end)

  it("of the Decathlon lists every volume, with labels that are named", function()
    local folder = data .. "hippocampus/"
    local set = json.decode(sys.read_file(folder .. "dataset.json"))
    equal({ #set.training, #set.test }, { set.numTraining, set.numTest })
    equal({ #set.training, #set.test }, { #sys.list(folder .. "imagesTr"), #sys.list(folder .. "imagesTs") })
    for _, case in ipairs(set.training) do
      local _, extents = volume(folder .. case.image)
      local labels, same = volume(folder .. case.label)
      equal(same, extents, case.label)
      local seen = {}
      for value in labels:gmatch "." do seen[tostring(value:byte())] = true end
      for value in pairs(seen) do assert(set.labels[value], case.label .. ": label " .. value) end
      assert(seen["1"] and seen["2"], case.label)
    end
    volume(folder .. set.test[1])
  end)

  it("of nnU-Net has for each image of channel 0 a mask whose values are named", function()
    local folder = data .. "spleen/"
    local set = json.decode(sys.read_file(folder .. "dataset.json"))
    local cases = stems(folder .. "labelsTr")
    equal(#cases, set.numTraining)
    equal(#sys.list(folder .. "imagesTr"), set.numTraining)
    for _, case in ipairs(cases) do
      local picture = folder .. "imagesTr/" .. case .. "_0000" .. set.file_ending
      equal((pair(picture, folder .. "labelsTr/" .. case .. set.file_ending)),
        { set.labels.background, set.labels.spleen }, case)
    end
  end)
end)

describe("the demos' own images", function()
  it("are listed with the click that expected.json has", function()
    for _, name in ipairs { "carotid", "fetal-head" } do
      local _, list = rows(demo .. name .. "/evaluate.csv")
      local expected = json.decode(sys.read_file(demo .. name .. "/expected.json"))
      equal(#list, 1)
      equal(list[1].case, expected.image)
      equal(points(list[1].prompt), { { expected.point[1], expected.point[2], expected.label } })
      pair(demo .. name .. "/" .. list[1].image, demo .. name .. "/" .. list[1].label)
    end
  end)

  it("are listed with the volume's file of prompts", function()
    local folder = demo .. "hippocampus/"
    local _, list = rows(folder .. "evaluate.csv")
    equal(#list, 1)
    equal({ points(list[1].prompt) }, {})
    local shape = npy.read(folder .. list[1].image).shape
    equal(npy.read(folder .. list[1].label).shape, { shape[1], shape[2], shape[3] })
    equal(#json.decode(sys.read_file(folder .. list[1].prompt))[1].points, shape[1])
  end)
end)
