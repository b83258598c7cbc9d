-- SPDX-License-Identifier: Apache-2.0
--- Pictures to pre-train on: those of a folder, or of a data set, whatever masks there are. Files are read, prepared
-- and resized as for training (lua/train/samples.lua); each slice of a volume is a picture.
local augment = require "train.augment"
local datasets = require "evaluate.datasets"
local fail = require "support.fail"
local samples = require "train.samples"
local sources = require "evaluate.sources"
local sys = require "msagen.sys"

local pictures = {}
pictures.__index = pictures

-- The files of a folder, or of images/ in it, as cases.
local function of_folder(path, split)
  local root = split and path .. "/" .. split or path
  if sys.isdir(root .. "/images") then root = root .. "/images" end
  if not sys.isdir(root) then fail("--data %s: expected a folder of pictures, or a data set, found none", root) end
  local set = { cases = {}, notes = {}, path = path }
  for _, name in ipairs(datasets.visible(root)) do
    set.cases[#set.cases + 1] = { name = datasets.name(name, ("--data %s: picture"):format(path)), patient = name,
      image = root .. "/" .. name, classes = {} }
  end
  if #set.cases == 0 then fail("--data %s: expected pictures, found none", root) end
  return set
end

--- The cases of a path. @param asked { split, channel } @return a set as of evaluate.datasets
function pictures.set(path, asked)
  if sys.isdir(path) and not sys.exists(path .. "/dataset.json") then return of_folder(path, asked.split) end
  return datasets.open(path, asked)
end

-- An error of a case begins with its name.
local function named(case, body, ...)
  local ok, found = pcall(body, ...)
  if ok then return found end
  if type(found) == "table" and found.msagen then fail("%s: %s", case.name, found.msagen) end
  error(found, 0)
end

-- A case's picture u8 [N,H,W,3]; the last one is kept.
local function whole(self, case)
  if self.last ~= case then
    self.last, self.image = nil, nil
    self.image = named(case, function()
      return sources.image(case, { folder = { depth = 1 }, how = self.options.how }).image
    end)
    self.last = case
  end
  return self.image
end

--- Open the pictures of cases; each is read once, so one that cannot be read is refused before the training.
-- @param options { model, how = of inputs.image, cache_bytes, show = function(done, total) }
-- @return self with items = list of { case, slice, slices }
function pictures.open(cases, options)
  local self = setmetatable({ options = options, items = {}, kept = {}, bytes = 0 }, pictures)
  for i, case in ipairs(cases) do
    options.show(i - 1, #cases)
    local slices = whole(self, case).shape[1]
    for slice = 0, slices - 1 do
      self.items[#self.items + 1] = { case = case, slice = slice, slices = slices }
      if self.bytes < options.cache_bytes then self:at(#self.items) end
    end
  end
  self.last, self.image = nil, nil
  return self
end

--- What messages call a picture.
function pictures:name(i)
  local item = self.items[i]
  return item.case.name .. (item.slices > 1 and (", slice %d"):format(item.slice) or "")
end

--- A picture: { name, picture = u8 [h,w,3] at the network's size }. What fits in cache_bytes is read once.
function pictures:at(i)
  if self.kept[i] then return self.kept[i] end
  local item = self.items[i]
  local sample = { name = self:name(i), picture = named(item.case, function()
    return samples.picture(whole(self, item.case), item.slice, self.options.model)
  end) }
  local bytes = sample.picture:numel()
  if self.bytes + bytes <= self.options.cache_bytes then self.kept[i], self.bytes = sample, self.bytes + bytes end
  return sample
end

--- A picture changed at random. @param plan, key of train.augment
function pictures.augmented(sample, plan, key)
  local shape = sample.picture.shape
  local drawn = augment.draw(plan, key, shape[1], shape[2])
  return { name = sample.name, picture = augment.picture(drawn, sample.picture) }
end

return pictures
