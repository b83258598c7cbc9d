-- SPDX-License-Identifier: Apache-2.0
--- What was trained, as a file of the dialect's program holds it: all tensors of the network under the program's names.
-- Tables that were brought to the build's grid are written at that grid, so that the file tells its resolution;
-- positions as the file has them, where every file of the dialect has them alike.

local dialects = require "import.dialects"
local fail = require "support.fail"
local kinds = require "graph.kinds"
local names = require "import.names"
local tensor = require "msagen.tensor"

local exported = {}

-- Positions behind a class token's, of which the file's stays.
local function with_class(entry, value)
  local C = value.shape[#value.shape]
  local rows = value:numel() // C
  local class = entry.found.tensor:slice(2, 0, 1):reshape { C }:totable()
  local all = table.move(value:reshape { rows * C }:totable(), 1, rows * C, C + 1, class)
  return tensor.from(all, { 1, 1 + rows, C })
end

local function is_position(entry) return entry.name == "image_encoder.pos_embed" end

-- A tensor that does not train. Folded ones are as the file has them.
local function kept(entry, dialect, model)
  if entry.resize and not entry.grid and not (is_position(entry) and dialect.position_grid) then
    return model.tensor[entry.name]
  end
  return entry.found.tensor
end

--- @param model the description of the model that is trained @param trained list of SAM's names
-- @param only whether what trains, and what is not as the base has it, is all that is wanted
-- @param fresh SAM's names of what is not as the base has it (train/made.lua), or nil: none
-- @return function(trainer) -> list of { name, tensor } (lua/train/interpreted.lua says what a trainer is)
function exported.of(model, trained, only, fresh)
  local dialect, trains, wanted = dialects.named(model.dialect, "--dialect"), {}, {}
  local _, to_file = names.speller(dialect.spelling)
  for _, name in ipairs(trained) do trains[name] = true end
  for _, name in ipairs(fresh or {}) do wanted[name] = true end
  for _, entry in ipairs(model.entries) do
    if is_position(entry) and trains[entry.name] and entry.resize and dialect.position_grid then
      fail("%s: %s: expected positions that stay as they are where the resolution is not the file's, as files of %s "
        .. "have them at %d x %d at any, found them among what trains", model.source.path, entry.name, dialect.name,
        dialect.position_grid, dialect.position_grid)
    end
  end
  return function(trainer)
    local flat, now, list = trainer:values "parameters", {}, {}
    flat = flat:reshape { flat:numel() }
    for _, one in ipairs(trainer.parameters) do
      now[one.name] = flat:slice(1, one.offset, kinds.product(one.shape)):reshape(one.shape)
    end
    for _, entry in ipairs(model.entries) do
      local value = now[entry.name]
      if value and entry.grid then value = with_class(entry, value) end
      if not value and entry.found and (wanted[entry.name] or not only) then value = kept(entry, dialect, model) end
      if value then list[#list + 1] = { to_file(entry.name), value } end
    end
    return list
  end
end

return exported
