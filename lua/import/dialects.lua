-- SPDX-License-Identifier: Apache-2.0
-- The known dialects (one file each in import/dialects/, found by looking there) and which of them a file may be.

local dialects = {}

local function folder()
  local here = assert(package.searchpath("import.dialects", package.path))
  return (here:gsub("%.lua$", ""))
end

local function files(path)
  local list = {}
  local ok, sys = pcall(require, "msagen.sys")
  if ok then
    for _, name in ipairs(sys.list(path)) do list[#list + 1] = name end
  else
    for name in require("lfs").dir(path) do list[#list + 1] = name end
  end
  return list
end

local known

--- All dialects, oldest first.
function dialects.all()
  if not known then
    known = {}
    for _, file in ipairs(files(folder())) do
      local stem = file:match("^([%w%-]+)%.lua$")
      if stem then known[#known + 1] = require("import.dialects." .. stem) end
    end
    table.sort(known, function(a, b)
      if a.order ~= b.order then return a.order < b.order end
      return a.name < b.name
    end)
  end
  return known
end

function dialects.named(name)
  for _, dialect in ipairs(dialects.all()) do
    if dialect.name == name then return dialect end
  end
end

--- "sam, msa-2023, ..." of some dialects.
function dialects.list(some, separator)
  local list = {}
  for i, dialect in ipairs(some) do list[i] = dialect.name end
  return table.concat(list, separator or ", ")
end

local spoken = {
  rel = {
    rel_pos = "relative positions named rel_pos_h/w",
    rel = "relative positions named rel_h/w",
    both = "relative positions named both rel_pos_h/w and rel_h/w",
  },
  mlp = {
    lin = "decoder MLPs named mlp.lin1/lin2",
    layers = "decoder MLPs named mlp.layers/fc",
    both = "decoder MLPs named both mlp.lin1/lin2 and mlp.layers/fc",
  },
  encoder_adapters = { [true] = "encoder adapters", [false] = "no encoder adapters" },
  decoder_adapters = { [true] = "decoder adapters", [false] = "no decoder adapters" },
  lora = { [true] = "LoRA pairs", [false] = "no LoRA pairs" },
}
local order = { "rel", "mlp", "encoder_adapters", "decoder_adapters", "lora" }

--- nil if the traits may be the dialect's; else what it needs and what was found, as texts.
function dialects.contradiction(dialect, traits)
  for _, mark in ipairs(order) do
    local found, fits, wanted = traits[mark], false, {}
    for _, value in ipairs(dialect.marks[mark]) do
      fits = fits or found == value
      wanted[#wanted + 1] = spoken[mark][value]
    end
    if not fits and found ~= "none" then
      return table.concat(wanted, " or "), spoken[mark][found]
    end
  end
  if traits.lora and traits.encoder_adapters then
    return "encoder adapters or LoRA pairs", "both"
  end
end

--- The dialects that the traits allow.
function dialects.candidates(traits)
  local list = {}
  for _, dialect in ipairs(dialects.all()) do
    if not dialects.contradiction(dialect, traits) then list[#list + 1] = dialect end
  end
  return list
end

--- What the names show, in words.
function dialects.describe(traits)
  local list = {}
  for _, mark in ipairs(order) do
    list[#list + 1] = spoken[mark][traits[mark]]
  end
  return table.concat(list, ", ")
end

return dialects
