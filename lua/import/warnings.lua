-- SPDX-License-Identifier: Apache-2.0
-- What a person should know before trusting the masks: legal oddities of the file, and what nothing in it tells. A
-- question that an option has answered is not asked; where one is open, the warning says what the build assumes.

local closed = require "support.closed"
local names = require "import.names"

local function blocks_text(list)
  return #list == 1 and "block " .. list[1] or "blocks " .. table.concat(list, ",")
end

--- What the checkpoint should have told and the base tells in its stead.
local function borrowed_warnings(warn, dialect, model, entries, resolution_told)
  local borrowed, renamed, tables = {}, false, 0
  for i = 0, model.blocks - 1 do
    local one = entries[("image_encoder.blocks.%d.attn.rel_pos_h"):format(i)].found
    if one.file == "base" then
      borrowed[#borrowed + 1] = i
      renamed = renamed or one.key == one.sam
    else
      tables = tables + 1
    end
  end
  if renamed and #dialect.spelling > 0 then
    warn("the relative positions of %s are the base's; the program that trains %s files drops SAM's for their names "
      .. "and works with zeros: "
      .. "if that trained these weights, a base saved by it is the right one", #borrowed == model.blocks
        and "all blocks" or blocks_text(borrowed), dialect.name)
  end
  local own = tables > 0
  if dialect.grid_from == "pos_embed" then own = entries["image_encoder.pos_embed"].found.file == "checkpoint" end
  if model.file_grid and not own and not resolution_told then
    warn("The resolution is not in the file. Building for %d: %d is the base's (use --resolution PX if the file was "
      .. "trained at another).", model.file_size, model.file_size)
  end
end

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
local function geometry_warnings(warn, file, dialect, model, place, told)
  local table_grid = place.table_grid
  if not model.file_grid and table_grid and not told.resolution then
    warn("The resolution is not in the file (its global tables are %d long at any). Building for %d; use "
      .. "--resolution PX if it was trained at another.",
      2 * table_grid - 1, dialect.default_size)
  end
  if model.file_grid and model.grid and model.grid ~= model.file_grid then
    warn("Positions are resampled from the file's resolution, %d, to %d: masks may be less accurate than at %d.",
      model.file_size, model.image_size, model.file_size)
  end
  if place.undecided and not told.global_blocks then
    warn("Grid and window are both %d: which blocks are global is not in the file. It matters only at another "
      .. "resolution (--global-blocks).", table_grid)
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

--- The warnings of a plan, as texts; the arguments are import.plan()'s. told: the options as the user gave them
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

  local zero = {}
  for i = 0, model.blocks - 1 do
    local at = ("image_encoder.blocks.%d.attn.rel_pos_"):format(i)
    if entries[at .. "h"].zero and entries[at .. "w"].zero then zero[#zero + 1] = i end
  end
  if #zero > 0 then
    warn("the relative-position tables of %s are all zero: legal%s", #zero == model.blocks and "all blocks"
      or blocks_text(zero),
      dialect.grid_from == "tables"
        and ", as the program that trained it dropped SAM's tables and never trained its own" or "")
  end

  if traits.lora and not base then
    warn("LoRA pairs are folded into their weights; a file saved while the program evaluated may hold them folded "
      .. "already, and nothing in it tells")
  elseif dialect.pad_without_adapters and not traits.encoder_adapters and not traits.lora then
    warn("neither adapters nor LoRA pairs: taken for a file with merged LoRA pairs, whose blocks normalise before "
      .. "they pad")
  end
  if base then borrowed_warnings(warn, dialect, model, entries, told.resolution) end
  geometry_warnings(warn, file, dialect, model, place, told)
  return list
end
