-- SPDX-License-Identifier: Apache-2.0
-- The tensors of the model: as they are in the file, or folded (LoRA), or resampled to the build's grid.

local weights = {}

--- pos_embed [1,g0,g0,C] -> [1,g,g,C], bicubic over the two grid dimensions.
local function bicubic(tensor, grid)
  return tensor:permute { 1, 4, 2, 3 }:resample_bicubic({ grid, grid }):permute { 1, 3, 4, 2 }
end

--- B [rows,r] with A [r,columns]: weight + B*A/r.
local function fold(weight, b, a)
  return weight:add(b:matmul(a):scale(1 / b.shape[2]))
end

--- The pair of qkv adapts q and v only: A [2r,C] holds q's half and v's, B [2C,r] likewise. Gives B as [3C,2r], zero where nothing is added.
local function spread(b)
  local tensor = require "msagen.tensor"
  local width, rank = b.shape[1] // 2, b.shape[2]
  local values, spreaded = b:totable(), {}
  for row = 0, 3 * width - 1 do
    for column = 0, 2 * rank - 1 do
      local value = 0.0
      if row < width and column < rank then
        value = values[row * rank + column + 1]
      elseif row >= 2 * width and column >= rank then
        value = values[(row - width) * rank + column - rank + 1]
      end
      spreaded[#spreaded + 1] = value
    end
  end
  return tensor.from(spreaded, { 3 * width, 2 * rank })
end

local function folded(name, weight, entries)
  local a = entries[name .. ".lora_A"].found.tensor
  local b = entries[name .. ".lora_B"].found.tensor
  if name:match("%.qkv$") then
    return weight:add(spread(b):matmul(a):scale(1 / b.shape[2]))
  end
  return fold(weight, b, a)
end

--- SAM's name -> tensor, for every entry of the network that the build computes with. Names of tensors stay the file's own.
function weights.make(entries, model)
  local made = {}
  for name, entry in pairs(entries) do
    local found = entry.found
    if found and entry.fate == "used" then
      local tensor = found.tensor
      local base = name:match("^(.*)%.weight$")
      if entry.resize and entry.resize[1] == "bicubic" then
        tensor = bicubic(tensor, model.grid):rename(found.name)
      elseif entry.resize then
        tensor = tensor:resample_linear(entry.resize[3]):rename(found.name)
      elseif base and entries[base .. ".lora_A"] then
        tensor = folded(base, tensor, entries):rename(found.name)
      end
      made[name] = tensor
    end
  end
  return made
end

return weights
