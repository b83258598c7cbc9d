-- SPDX-License-Identifier: Apache-2.0
-- How an image becomes the network's input: what a dialect's resize and normalise may be, and the line in which a build
-- says what it assumes.
-- A file of another program may have the same tensors and want another preparation; nothing but this line shows it.

local preparation = {}

--- normalise: (x - mean) / std of a pixel's 0..255, a colour each.
preparation.normalisations = {
  unit = { kind = "unit", mean = { 0, 0, 0 }, std = { 255, 255, 255 }, spoken = "x/255",
    text = "0..255 divided by 255, no mean or deviation" },
  imagenet255 = { kind = "imagenet255", mean = { 123.675, 116.28, 103.53 }, std = { 58.395, 57.12, 57.375 },
    spoken = "(x-mean)/std",
    text = "ImageNet's mean and deviation" },
  imagenet1_of_255 = { kind = "imagenet1_of_255", mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 },
    spoken = "(x-mean/255)/(std/255)", text = "ImageNet's mean and deviation of 0..1, taken of 0..255" },
}

--- resize: how the image fills the square; `filter`: in words, where it is not Pillow's bilinear one. `sampled` is
-- bilinear interpolation of floats between four pixels, however much smaller the picture becomes.
preparation.resizes = {
  sampled = { spoken = "squash to a square, without antialiasing", text = "squashed to %dx%d",
    filter = "bilinear without antialiasing" },
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
    local resize = preparation.resizes[dialect.resize]
    local text = ("RGB, %s, %s, %s"):format(resize.filter or "bilinear", resize.text:gsub("%%d", tostring(size)),
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

return preparation
