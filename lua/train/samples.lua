-- SPDX-License-Identifier: Apache-2.0
--- What a training step is given: the cases of a data set as pictures at the network's size, with the masks of their
-- classes. Files are read, prepared and compared as `msagen evaluate` does, and resized as builds do.
--
-- A sample is one class of one case, of a network with a mask for each class all of them; of a volume a subvolume of
-- the network's depth, of a network for single images a slice.
local augment = require "train.augment"
local fail = require "support.fail"
local pictures = require "emit.pictures"
local resize = require "msagen.resize"
local segment = require "run.segment"
local sources = require "evaluate.sources"
local targets = require "train.targets"
local tensor = require "msagen.tensor"

local samples = {}
samples.__index = samples

-- An error of a case begins with its name.
local function named(case, body, ...)
  local ok, a, b = pcall(body, ...)
  if ok then return a, b end
  if type(a) == "table" and a.msagen then fail("%s: %s", case.name, a.msagen) end
  error(a, 0)
end

--- A case's picture u8 [N,H,W,3] and the truth of each class, masks u8 [N,H,W] on its grid; the last case is kept.
function samples:case(case)
  if self.last and self.last.case == case then return self.last end
  self.last = nil
  named(case, function()
    local found = sources.image(case, { folder = { depth = self.model.depth }, how = self.options.how })
    local truth_of, masks = sources.truths(case, found), {}
    for i, class in ipairs(case.classes) do masks[i] = truth_of(class).clicked end
    self.last = { case = case, picture = found.image, masks = masks, found = found, truth_of = truth_of }
  end)
  return self.last
end

-- Whether a class is to be seen in slices [first, first + count).
local function shows(mask, first, count) return not mask:slice(1, first, count):is_zero() end

-- The classes of a case as the network wants them: all together, or one by one; lists of their places.
local function groups(case, model, together)
  local several = (model.classes or 1) > 1
  if not several and not together then
    local list = {}
    for i in ipairs(case.classes) do list[i] = { i } end
    return list
  end
  if several and #case.classes ~= model.classes then
    fail("%s: expected %d classes, as the network has masks, found %d", case.name, model.classes, #case.classes)
  end
  local all = {}
  for i in ipairs(case.classes) do all[i] = i end
  return { all }
end

-- Add the samples of a case. Those that do not show their class are left out, or are negative ones.
function samples:add(case)
  local whole, depth = self:case(case), self.model.depth
  for _, group in ipairs(groups(case, self.model, self.options.together)) do
    for _, subvolume in ipairs(segment.subvolumes(whole.picture.shape[1], depth)) do
      local first, shown = subvolume.first, false
      for _, i in ipairs(group) do shown = shown or shows(whole.masks[i], first, depth) end
      if shown or self.options.empty == "negative" then
        self.items[#self.items + 1] = { case = case, classes = group, first = first, shown = shown,
          slices = whole.picture.shape[1] }
      else
        self.left = self.left + 1
      end
    end
  end
end

--- What reads cases, without samples. @param options { model, how }
function samples.reader(options)
  return setmetatable({ options = options, model = options.model, items = {}, left = 0, kept = {}, bytes = 0 }, samples)
end

--- Open the samples of cases. Every case is read once, so a file that cannot be read is refused before the training.
-- @param cases of evaluate.datasets
-- @param options { model = image_size, depth, resize, resampling, grid, classes; how = of inputs.image, empty = skip or
--   negative, together = whether all classes of a case are one sample of a network with one mask, out_size = side of
--   the targets, edges = soft (0 to 1) or hard (0 or 1), cache_bytes, show = function(done, total) }
-- @return self with items = list of { case, classes = places of the case's, first, shown, slices }, left = how many
--   were left out
function samples.open(cases, options)
  local self = samples.reader(options)
  for i, case in ipairs(cases) do
    options.show(i - 1, #cases)
    self:add(case)
    for at = #self.items, 1, -1 do -- while the case is at hand
      if self.items[at].case ~= case or self.bytes >= options.cache_bytes then break end
      self:at(at)
    end
  end
  self.last = nil
  return self
end

--- What messages call a sample: its case, class and, of a volume, slice.
function samples:name(i)
  local item = self.items[i]
  local class = #item.classes == 1 and #item.case.classes > 1 and ", " .. item.case.classes[item.classes[1]].name or ""
  local slice = item.slices > self.model.depth and (", slice %d"):format(item.first) or ""
  return item.case.name .. class .. slice
end

-- Where a resized mask u8 [D,h,w] is inside: 255 where at least half of a pixel is; of a slice where nothing is left,
-- where any is.
local function inside(grey)
  local slices, step, bytes = {}, grey.shape[2] * grey.shape[3], grey:tobytes()
  for s = 0, grey.shape[1] - 1 do
    local slice = bytes:sub(s * step + 1, (s + 1) * step)
    local half = slice:gsub("[\128-\255]", "\255"):gsub("[^\255]", "\0")
    if not half:find("\255", 1, true) then half = slice:gsub("[^\0]", "\255") end
    slices[s + 1] = half
  end
  return tensor.frombytes(table.concat(slices), "u8", grey.shape)
end

local function bytes_of(sample)
  local sum = sample.picture:numel()
  for _, mask in ipairs(sample.masks) do sum = sum + 2 * mask:numel() end
  return sum + sample.targets:numel() * (sample.targets.dtype == "f32" and 4 or 1)
end

--- Slices of a picture u8 [N,H,W,3] from `first` on as the network's size has them: u8 [h,w,3], of volumes [D,h,w,3].
function samples.picture(picture, first, m)
  picture = picture:slice(1, first, m.depth)
  if m.resampling ~= "sampled" then -- no bytes are what that resampler makes: encoding does it
    local width, height = pictures.size(picture.shape[3], picture.shape[2], m.image_size, m.resize == "longest")
    picture = resize.picture(picture, height, width, m.resampling)
  end
  local shape = picture.shape
  return m.depth == 1 and picture:reshape { shape[2], shape[3], 3 } or picture
end

local function make(self, i)
  local item, m, options = self.items[i], self.model, self.options
  local whole = self:case(item.case)
  local picture = samples.picture(whole.picture, item.first, m)
  local width, height = picture.shape[#picture.shape - 1], picture.shape[#picture.shape - 2]
  local own, greys, masks = {}, {}, {}
  for k, place in ipairs(item.classes) do
    own[k] = whole.masks[place]:slice(1, item.first, m.depth)
    greys[k] = resize.mask(own[k], height, width, "bicubic")
    masks[k] = inside(greys[k])
  end
  local phrase = #item.classes == 1 and item.case.classes[item.classes[1]].name or nil
  return { name = self:name(i), phrase = phrase, picture = picture, greys = greys, masks = masks, width = width,
    height = height, targets = targets.of(own, options.out_size, m.resize == "longest", options.edges) }
end

--- A sample changed at random. @param plan, key of train.augment; where nothing of the masks is left it stays as it was
function samples:augmented(sample, plan, key)
  local drawn = augment.draw(plan, key, sample.height, sample.width)
  local greys, masks, shown = {}, {}, false
  for k, grey in ipairs(sample.greys) do
    greys[k] = augment.mask(drawn, grey)
    masks[k] = inside(greys[k])
    shown = shown or not greys[k]:is_zero()
  end
  if not shown then return sample end
  local options = self.options
  return { name = sample.name, phrase = sample.phrase, picture = augment.picture(drawn, sample.picture),
    greys = greys, masks = masks, width = sample.width, height = sample.height,
    targets = targets.of(greys, options.out_size, self.model.resize == "longest", options.edges) }
end

--- A sample: { name, phrase = its class's name, where it is of one, picture = u8 [h,w,3], of volumes [D,h,w,3], at the
-- network's size, or smaller where the longest side is fitted; width, height; greys = list of u8 [D,h,w], masks resized
-- as MSA does it for clicks, a class each; masks = the same, 0 or 255; targets [D,M,T,T] }. What fits in cache_bytes is
-- read once.
function samples:at(i)
  if self.kept[i] then return self.kept[i] end
  local sample = named(self.items[i].case, make, self, i)
  local bytes = bytes_of(sample)
  if self.bytes + bytes <= self.options.cache_bytes then
    self.kept[i], self.bytes = sample, self.bytes + bytes
  end
  return sample
end

return samples
