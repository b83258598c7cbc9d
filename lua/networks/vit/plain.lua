-- SPDX-License-Identifier: Apache-2.0
--- What a file tells of a ViT whose blocks are all global: with tables of relative positions, which tell the grid, or
-- without.

local fail = require "support.fail"
local shapes = require "import.shapes"

local plain = {}

-- Side of the grid that positions are a table of, behind a class token's.
local function check_position(file)
  local value = file.value
  local side = math.tointeger((value.position - 1) ^ 0.5)
  if file.dialect.class_position and (not side or side < 1) then
    fail("%s: %s is [1,%d,%d]; expected [1,1+n^2,%d], a class token's and those of a grid", file.path,
      file.spell "image_encoder.pos_embed", value.position, value.dim, value.dim)
  end
end

local function head_width(file)
  local value, told = file.value, file.dialect.head_width
  local head = told or value.head
  if head < 1 or value.dim % head ~= 0 then
    fail("%s: the encoder's width is %d, from %s; expected a multiple of %d, the width of a head", file.path, value.dim,
      file.spell "image_encoder.patch_embed.proj.bias", head)
  end
  return head
end

-- The grid that all tables are made for; nil where that is the same in every file without adapters.
local function table_grid(file)
  local first
  for i = 0, file.counts.blocks - 1 do
    local entry = file.entries[("image_encoder.blocks.%d.attn.rel_pos_h"):format(i)]
    local length = entry.found.shape[1]
    first = first or length
    if length % 2 == 0 or length ~= first then
      fail("%s: %s is %s; expected %s", file.path, file.spell(entry.name), shapes.text(entry.found.shape), i > 0
        and ("[%d,%d], as block 0 has"):format(first, file.value.head) or "an odd length, 2n-1")
    end
  end
  local grid = (first + 1) // 2
  return (file.traits.encoder_adapters or grid ~= file.dialect.table_grid) and grid or nil, grid
end

--- networks/encoders.lua: describe, as networks/vit/checkpoint.lua has it.
-- @param multiple_of_patch function(size, patch): a refusal of what is none
function plain.describe(file, multiple_of_patch)
  local value, options, dialect, blocks = file.value, file.options, file.dialect, file.counts.blocks
  local patch = value.patch
  if options.resolution then multiple_of_patch(options.resolution, patch) end
  if options.global_blocks and #options.global_blocks > 0 then
    fail("--global-blocks: expected none, as all blocks are global in files of %s, found %s", dialect.name,
      table.concat(options.global_blocks, ","))
  end
  check_position(file)
  local encoder = { dim = value.dim, blocks = blocks, heads = value.dim // head_width(file), mlp = value.mlp,
    window = 0, global = {}, global_list = {} }
  for i = 0, blocks - 1 do encoder.global[i], encoder.global_list[i + 1] = true, i end
  local own, tables
  if dialect.relative ~= false then own, tables = table_grid(file) end
  local size = options.resolution or own and own * patch or dialect.default_size
  if not size then
    return { encoder = encoder, patch = patch, choices = { { option = "--resolution", values = { "PX" },
      why = ("the tables are %d long in every such file, so that nothing tells the size that it was trained at")
        :format(2 * tables - 1) } } }
  end
  multiple_of_patch(size, patch)
  return { encoder = encoder, patch = patch, size = size, grid = size // patch, file_grid = own, choices = {} }
end

return plain
