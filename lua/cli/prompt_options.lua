-- SPDX-License-Identifier: Apache-2.0
--- The prompts that a command line describes: options that `run` and `interpret` share; run/prompts.lua reads them.

local options = {}

-- Numbers as people write them; NaN and infinity are numbers here, and outside every image.
local function number(text)
  local word = text:lower():match "^[+-]?(%a+)$"
  if word == "nan" then return -(0 / 0) end
  if word == "inf" or word == "infinity" then return text:sub(1, 1) == "-" and -math.huge or math.huge end
  if not text:match "^[+-]?%.?%d[%d.]*[eE]?[+-]?%d*$" then return nil end
  return tonumber(text)
end

local function number_list(text, least, most, expected)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do
    list[#list + 1] = number(word)
    if not list[#list] or #list > most then return nil, ("expected %s, found %s"):format(expected, text) end
  end
  local _, commas = text:gsub(",", "")
  if #list ~= commas + 1 or #list < least then return nil, ("expected %s, found %s"):format(expected, text) end
  return list
end

local function a_point(text) return number_list(text, 2, 3, "X,Y or X,Y,LABEL") end
local function a_box(text) return number_list(text, 4, 4, "X0,Y0,X1,Y1") end
--- A converter to a whole number from `least` to `most`.
function options.whole(least, most)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if n and n >= least and n <= most then return n end
    return nil, ("expected a whole number from %d to %d, found %s"):format(least, most, text)
  end
end

--- Declare them.
function options.setup(command)
  local function option(name, argname, description) return command:option(name, description):argname(argname) end
  option("--point", "X,Y[,LABEL]", "A point in pixels of the image; label 1 (default) inside, 0 outside."):count "*"
    :convert(a_point)
  option("--box", "X0,Y0,X1,Y1", "A box, corners in pixels of the image."):convert(a_box)
  option("--text", "NAME", "A text prompt by its name, where the folder was built with --text-prompts.")
  option("--mask-in", "FILE.npy", "Logits of an earlier result as a prompt.")
  command:flag("--multimask", "Ask for three masks rather than one: the default where the model's own program does.")
  command:flag("--one-mask", "Ask for one mask where the model's own program takes the best of three.")
  option("--prompts", "FILE.json", "Prompts as a JSON array, instead of the six options above; a file, or a pipe that "
    .. "is read to its end.")
end

return options
