-- SPDX-License-Identifier: Apache-2.0
-- What a person should know before trusting the masks: legal oddities of the file, and what nothing in it tells. A
-- question that an option has answered is not asked; where one is open, the warning says what the build assumes.

local closed = require "support.closed"
local encoders = require "networks.encoders"
local names = require "import.names"

-- Tensors that the user let go, by option.
local function ignored_warnings(warn, file)
  local count, first = {}, {}
  for _, one in ipairs(file.all) do
    if one.ignored then
      count[one.ignored] = (count[one.ignored] or 0) + 1
      first[one.ignored] = first[one.ignored] or one.name
    end
  end
  for _, prefix in ipairs(closed.sorted(count)) do
    warn("%d tensor%s ignored (--ignore %s), the first %s: the build computes without", count[prefix], count[prefix] > 1
      and "s are" or " is", names.show(prefix),
      names.show(first[prefix]))
  end
end

-- Depths, resolutions and global blocks that the file leaves open, or that the build changes.
local function geometry_warnings(warn, file, model, told)
  if model.file_grid and model.grid and model.grid ~= model.file_grid then
    warn("Positions are resampled from the file's resolution, %d, to %d: masks may be less accurate than at %d.",
      model.file_size, model.image_size, model.file_size)
  end
  local depth_adapter = false
  for _, one in ipairs(file.all) do
    if one.key:match("%.Depth_Adapter%.") then depth_adapter = true end
  end
  if depth_adapter and not told.depth then
    warn("The file has Depth_Adapters, which 2-D and 3-D training both save. Building for 2-D; use --depth N if it "
      .. "was trained on volumes of N slices.")
  end
end

--- The warnings of an account, as texts; the arguments are import.account()'s. told: the options as the user gave them
return function(file, base, dialect, traits, model, entries, candidates, place, told)
  local list = {}
  local function warn(...) list[#list + 1] = (...):format(select(2, ...)) end

  for _, candidate in ipairs(candidates) do
    for _, one in ipairs(candidate.warnings) do
      if type(one) == "string" then list[#list + 1] = one
      elseif not one.option or told[one.option] == nil then list[#list + 1] = one.text end
    end
  end
  ignored_warnings(warn, file)

  if traits.lora and not base then
    warn("LoRA pairs are folded into their weights; a file saved while the program evaluated may hold them folded "
      .. "already, and nothing in it tells")
  elseif dialect.pad_without_adapters and not traits.encoder_adapters and not traits.lora then
    warn("neither adapters nor LoRA pairs: taken for a file with merged LoRA pairs, whose blocks normalise before "
      .. "they pad")
  end
  encoders.named(dialect.encoder, "encoder").warnings(warn, { dialect = dialect, model = model, entries = entries,
    place = place, base = base ~= nil, told = told })
  geometry_warnings(warn, file, model, told)
  return list
end
