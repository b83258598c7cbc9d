-- SPDX-License-Identifier: Apache-2.0
-- How an image becomes the network's input: what a dialect's resampling, resize and normalise may be, and the line in
-- which a build says what it assumes.
-- A file of another program may have the same tensors and want another preparation; nothing but this line shows it.

local preparation = {}

--- normalise: (x - mean) / std of a pixel's 0..255, a colour each; or by the range of the resized picture itself.
-- reversed: the network's first colour is the picture's last.
preparation.normalisations = {
  unit = { kind = "unit", mean = { 0, 0, 0 }, std = { 255, 255, 255 }, spoken = "x/255",
    text = "0..255 divided by 255, no mean or deviation" },
  imagenet255 = { kind = "imagenet255", mean = { 123.675, 116.28, 103.53 }, std = { 58.395, 57.12, 57.375 },
    spoken = "(x-mean)/std",
    text = "ImageNet's mean and deviation" },
  ["imagenet255-bgr"] = { kind = "imagenet255-bgr", reversed = true,
    mean = { 123.675, 116.28, 103.53 }, std = { 58.395, 57.12, 57.375 },
    spoken = "(x-mean)/std of B,G,R", text = "B,G,R by ImageNet's mean and deviation of R,G,B" },
  imagenet1_of_255 = { kind = "imagenet1_of_255", mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 },
    spoken = "(x-mean/255)/(std/255)", text = "ImageNet's mean and deviation of 0..1, taken of 0..255" },
  minmax = { kind = "minmax", spoken = "(x-min)/(max-min)",
    text = "min..max of the resized picture to 0..1, no mean or deviation" },
}

--- resampling: how pixels are made of others. Of the runtime (msa_runtime.h), the resizer's file, its type, what its
-- functions begin with, its macro for bytes of work, which bytes(side) repeats; pixel: the predicted time of a pixel,
-- as a multiple of bilinear's. `sampled` has no resizer: it interpolates levels, in float, a row at a time.
preparation.resamplings = {
  bilinear = { text = "bilinear", file = "msa_resize", type = "msa_resizer", calls = "msa_resize",
    macro = "MSA_RESIZE_WORK_BYTES", pixel = 1,
    bytes = function(side) return 4 * (2 * 16384 + 3 * side) + 16 * side + 32768 + 12 * side end },
  spline = { text = "cubic B-spline", file = "msa_spline", type = "msa_spline", calls = "msa_spline",
    macro = "MSA_SPLINE_WORK_BYTES", pixel = 20,
    bytes = function(side)
      return 8 * (16384 + (8 + 3 * 128) * side + 2 * (2 * 16384 // side + 2) + 24)
    end },
  area = { text = "INTER_AREA", file = "msa_area", type = "msa_area", calls = "msa_area",
    macro = "MSA_AREA_WORK_BYTES", pixel = 2, bytes = function(side) return 24 * side end },
  nearest = { text = "nearest", file = "msa_nearest", type = "msa_nearest", calls = "msa_nearest",
    macro = "MSA_NEAREST_WORK_BYTES", pixel = 1, bytes = function() return 0 end },
  sampled = { text = "bilinear without antialiasing", file = "msa_sample", calls = "msa_sample", pixel = 1 },
}

--- resize: how the image fills the square.
preparation.resizes = {
  squash = { spoken = "squash to a square", text = "squashed to %dx%d" },
  longest = { spoken = "longest side, padded at the bottom and right",
    text = "longest side to %d, zero padding at the bottom and right" },
}

--- The line of a model (import.account's, whose dialect may be open): "image: RGB, longest side to 1024, ..., as
-- segment-anything".
-- @param dialects the dialects that the file may be of
function preparation.text(size, dialects)
  local ways, seen = {}, {}
  for _, dialect in ipairs(dialects) do
    local resized = preparation.resizes[dialect.resize].text:gsub("%%d", tostring(size))
    local text = ("RGB, %s, %s, %s"):format(preparation.resamplings[dialect.resampling].text, resized,
      preparation.normalisations[dialect.normalise].text)
    if seen[text] then
      seen[text][#seen[text] + 1] = dialect.source
    else
      seen[text] = { dialect.source }
      ways[#ways + 1] = text
    end
  end
  for i, text in ipairs(ways) do ways[i] = ("%s (as %s)"):format(text, table.concat(seen[text], "; ")) end
  return table.concat(ways, "; or ")
end

--- The values that bytes of each colour become, 256 of each, of a normalisation with mean and std.
function preparation.levels(normalise)
  local list = {}
  for c = 1, 3 do
    for v = 0, 255 do list[#list + 1] = (v - normalise.mean[c]) / normalise.std[c] end
  end
  return require("msagen.tensor").from(list, { 768 })
end

return preparation
