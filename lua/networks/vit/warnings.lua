-- SPDX-License-Identifier: Apache-2.0
--- What a person should know of a file's ViT: tables that are zero or the base's, what nothing in the file tells.

-- Blocks of a list, in words.
local function which(list, model)
  if #list == model.encoder.blocks then return "all blocks" end
  return #list == 1 and "block " .. list[1] or "blocks " .. table.concat(list, ",")
end

local function zero_tables(warn, about)
  local list, model = {}, about.model
  for i = 0, model.encoder.blocks - 1 do
    local at = ("image_encoder.blocks.%d.attn.rel_pos_"):format(i)
    local across = about.entries[at .. "h"]
    if across and across.zero and about.entries[at .. "w"].zero then list[#list + 1] = i end
  end
  if #list == 0 then return end
  warn("the relative-position tables of %s are all zero: legal%s", which(list, model),
    about.dialect.grid_from == "tables"
      and ", as the program that trained it dropped SAM's tables and never trained its own" or "")
end

--- What the checkpoint should have told and the base tells in its stead.
local function borrowed(warn, about)
  local dialect, model, entries = about.dialect, about.model, about.entries
  local list, renamed, tables = {}, false, 0
  for i = 0, model.encoder.blocks - 1 do
    local entry = entries[("image_encoder.blocks.%d.attn.rel_pos_h"):format(i)]
    local one = entry and entry.found
    if not one then -- a network without
    elseif one.file == "base" then
      list[#list + 1] = i
      renamed = renamed or one.key == one.sam
    else
      tables = tables + 1
    end
  end
  if renamed and #dialect.spelling > 0 then
    warn("the relative positions of %s are the base's; the program that trains %s files drops SAM's for their names "
      .. "and works with zeros: "
      .. "if that trained these weights, a base saved by it is the right one", which(list, model), dialect.name)
  end
  local own = tables > 0
  if dialect.grid_from == "pos_embed" then own = entries["image_encoder.pos_embed"].found.file == "checkpoint" end
  if model.file_grid and not own and not about.told.resolution then
    warn("The resolution is not in the file. Building for %d: %d is the base's (use --resolution PX if the file was "
      .. "trained at another).", model.file_size, model.file_size)
  end
end

local function geometry(warn, about)
  local place, told, model = about.place, about.told, about.model
  if not model.file_grid and place.table_grid and not told.resolution then
    warn("The resolution is not in the file (its global tables are %d long at any). Building for %d; use "
      .. "--resolution PX if it was trained at another.", 2 * place.table_grid - 1, about.dialect.default_size)
  end
  if place.undecided and not told.global_blocks then
    warn("Grid and window are both %d: which blocks are global is not in the file. It matters only at another "
      .. "resolution (--global-blocks).", place.table_grid)
  end
end

--- networks/encoders.lua: warnings.
return function(warn, about)
  zero_tables(warn, about)
  if about.base then borrowed(warn, about) end
  geometry(warn, about)
end
