-- SPDX-License-Identifier: Apache-2.0
--- What a file tells of SAM's ViT: which blocks are global, the window, the file's grid and the build's; what is left
-- to do to its tensors.

local fail = require "support.fail"
local plain = require "networks.vit.plain"
local shapes = require "import.shapes"
local windows = require "networks.vit.windows"

local checkpoint = {}

local MAX_SIDE = 16384 -- as in msagen run

local function table_name(i, axis) return ("image_encoder.blocks.%d.attn.rel_pos_%s"):format(i, axis) end

local function multiple_of_patch(size, patch)
  if math.type(size) ~= "integer" or size < patch or size % patch ~= 0 or size > MAX_SIDE then
    fail("--resolution %s: expected a multiple of the patch, %d, up to %d, found %s", tostring(size), patch, MAX_SIDE,
      tostring(size))
  end
end

local function check_widths(file)
  local value = file.value
  if value.head < 1 or value.dim % value.head ~= 0 then
    fail("%s: %s is [..,%d]; expected a head width that divides the encoder's width %d", file.path,
      file.spell(table_name(0, "h")), value.head, value.dim)
  end
end

-- For each block half its table's length, and the table's entry.
local function tables_of(file)
  local sizes, tables = {}, {}
  for i = 0, file.counts.blocks - 1 do
    local entry = file.entries[table_name(i, "h")]
    local length = entry.found.shape[1]
    if length % 2 == 0 then
      fail("%s: %s is %s; expected an odd length, 2n-1", file.path, file.spell(entry.name),
        shapes.text(entry.found.shape))
    end
    sizes[i], tables[i] = (length + 1) // 2, entry
  end
  for _, i in ipairs(file.options.global_blocks or {}) do
    if not sizes[i] then
      fail("%s: --global-blocks: expected blocks 0 to %d, found %s", file.path, file.counts.blocks - 1, tostring(i))
    end
  end
  return sizes, tables
end

local function check_position(file)
  local dialect, value = file.dialect, file.value
  if dialect.position_grid and value.position ~= dialect.position_grid then
    fail("%s: %s is [1,%d,%d,%d]; expected [1,%d,%d,%d], as in every file of %s", file.path,
      file.spell "image_encoder.pos_embed", value.position, value.position, value.dim, dialect.position_grid,
      dialect.position_grid, value.dim, dialect.name)
  end
end

-- Windows and global blocks, or nil and the choice that is the user's. Files without adapters come from the LoRA block,
-- whose global tables are as long as pos_embed is wide: `fixed`.
local function found_windows(file, sizes, tables, fixed)
  local options, value = file.options, file.value
  local found, problem = windows.find(sizes, { grid = file.dialect.grid_from == "pos_embed" and value.position or nil,
    lora = fixed, requested = options.resolution and options.resolution // value.patch,
    global_blocks = options.global_blocks })
  if found then return found end
  if problem.block then
    fail("%s: %s is %s, a window or grid of %d; expected %s", file.path, file.spell(tables[problem.block].name),
      shapes.text(tables[problem.block].found.shape), sizes[problem.block], problem.expected)
  end
  return nil, { option = "--global-blocks", values = problem.choices,
    why = "the tables' lengths do not tell which kind of block is global" }
end

-- Pixels a side of the build.
local function size_of(file, own)
  local patch, value = file.value.patch, file.value
  local size = file.options.resolution or own and own * patch or file.dialect.default_size
  if not size then
    fail("%s: --resolution: expected a size, as the file has no global block to tell it, found none", file.path)
  end
  if not own then multiple_of_patch(size, patch) end
  if size > MAX_SIDE then
    fail("%s: %s is [1,%d,%d,%d]; expected a resolution up to %d, found %d", file.path,
      file.spell "image_encoder.pos_embed", value.position, value.position, value.dim, MAX_SIDE, size)
  end
  return size
end

local function refuse_resampling(file, found, tables, grid, size, own)
  local value = file.value
  local entry, needed = file.entries["image_encoder.pos_embed"], shapes.text { 1, grid, grid, value.dim }
  local what = "resolution"
  for i = 0, file.counts.blocks - 1 do
    if found.global[i] then
      entry, needed, what = tables[i], shapes.text { 2 * grid - 1, value.head }, "a global block at resolution"
    end
  end
  fail("%s: %s is %s; %s %d needs %s or a table that can be resampled, and %s files are not resampled: use the file's "
    .. "own resolution, %d", file.path, file.spell(entry.name), shapes.text(entry.found.shape), what, size, needed,
    file.dialect.name, own * value.patch)
end

local function indices(global, blocks)
  local list = {}
  for i = 0, blocks - 1 do
    if global[i] then list[#list + 1] = i end
  end
  return list
end

--- networks/encoders.lua: describe. The encoder's description: { dim, blocks, heads, mlp, window = 0 where there is
-- none, global = { [block] = flag }, global_list }.
function checkpoint.describe(file)
  if file.dialect.all_global then return plain.describe(file, multiple_of_patch) end
  local value, options, dialect, blocks = file.value, file.options, file.dialect, file.counts.blocks
  check_widths(file)
  local patch = value.patch
  if options.resolution then multiple_of_patch(options.resolution, patch) end
  local sizes, tables = tables_of(file)
  check_position(file)
  local encoder = { dim = value.dim, blocks = blocks, heads = value.dim // value.head, mlp = value.mlp }
  local fixed = dialect.grid_from == "tables" and not file.traits.encoder_adapters
  local found, choice = found_windows(file, sizes, tables, fixed)
  if not found then return { encoder = encoder, patch = patch, choices = { choice } } end
  encoder.window, encoder.global, encoder.global_list = found.window, found.global, indices(found.global, blocks)
  local own = found.grid
  if fixed and own == dialect.position_grid then own = nil end
  local size, choices = size_of(file, own), {}
  local grid = size // patch
  if own and grid ~= own then
    if not dialect.resample then refuse_resampling(file, found, tables, grid, size, own) end
    if found.undecided then
      local why = "grid and window are both %d in the file, so that its tables do not tell which blocks are global"
      choices[1] = { option = "--global-blocks", values = { "LIST" }, why = why:format(own) }
    end
  end
  return { encoder = encoder, patch = patch, size = size, grid = grid, file_grid = own, choices = choices,
    table_grid = found.grid, undecided = found.undecided }
end

--- networks/encoders.lua: adapt. Positions are resampled to the build's grid; tables that are all zero are marked.
function checkpoint.adapt(model, entries)
  local position, grid = entries["image_encoder.pos_embed"], model.grid
  local side = position.found.shape[2]
  if #position.shape == 3 then -- a class token's comes first
    side = math.tointeger((side - 1) ^ 0.5)
    position.grid = side
  end
  if grid and side ~= grid then position.resize = { "bicubic", side, grid } end
  for i = 0, model.encoder.blocks - 1 do
    for _, axis in ipairs { "h", "w" } do
      local entry = entries[table_name(i, axis)]
      local length = entry and entry.found.shape[1]
      if entry and grid and model.encoder.global[i] and length ~= 2 * grid - 1 then
        entry.resize = { "linear", length, 2 * grid - 1 }
      end
      if entry then entry.zero = entry.found.tensor:is_zero() end
    end
  end
end

-- Whether a block's tables are zero in all banks, which one encoder serves.
local function all_zero(models, names)
  for _, model in ipairs(models) do
    for _, name in ipairs(names) do
      if not model.tensor[name] or not model.tensor[name]:is_zero() then return false end
    end
  end
  return true
end

-- Multiply-adds of a block's relative positions, on windows with their padding.
local function table_macs(model, i)
  local e, grid = model.encoder, model.grid
  local window = not e.global[i] and e.window > 0 and e.window or nil
  local along = window and (grid + window - 1) // window or 1
  local side = window or grid
  return model.depth * along * along * side * side * e.dim * side * 2
end

--- networks/encoders.lua: prune. Relative positions whose tables are all zero, as checkpoints of 2024 and later have
-- them, add nothing.
function checkpoint.prune(model, models)
  local list = {}
  for i = 0, model.encoder.blocks - 1 do
    local names = { table_name(i, "h"), table_name(i, "w") }
    if all_zero(models, names) then
      list[#list + 1] = { layer = ("block_%02d_attention"):format(i), what = "all-zero relative positions",
        tensors = names, macs = table_macs(model, i) }
    end
  end
  return list
end

return checkpoint
