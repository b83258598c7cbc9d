-- SPDX-License-Identifier: Apache-2.0
-- The tensors of the model: as they are in the file, or folded (LoRA, when they are read), or resampled to the build's
-- grid.

local deferred = require "import.deferred"

local weights = {}

--- pos_embed [1,g0,g0,C] -> [1,g,g,C], bicubic over the two grid dimensions.
local function bicubic(tensor, grid)
  return tensor:permute { 1, 4, 2, 3 }:resample_bicubic({ grid, grid }):permute { 1, 3, 4, 2 }
end

--- weight + B*A/r with B [rows,r], A [r,columns]; of each product and each sum one rounding. The file's pages of weight
-- are let go.
local function fold(weight, b, a, rank)
  local folded = weight:add(b:matmul(a), 1 / rank)
  weight:forget()
  return folded
end

--- Rows of qkv's B as [count,2r] for the whole of A: q's pair in the first r columns, v's in the last, zeros where
-- nothing is added.
local function spread(b, first, count)
  local tensor = require "msagen.tensor"
  local width, rank = b.shape[1] // 2, b.shape[2]
  local values = {}
  for row = first, first + count - 1 do
    local part = row // width
    local numbers = part ~= 1 and b:slice(1, part == 0 and row or row - width, 1):totable()
    for column = 0, 2 * rank - 1 do
      values[#values + 1] = numbers and column // rank == part // 2 and numbers[column % rank + 1] or 0.0
    end
  end
  return tensor.from(values, { count, 2 * rank })
end

--- The pair of qkv adapts q and v only: A [2r,C] holds q's half and v's, B [2C,r] likewise.
local function qkv_rows(weight, b, a)
  local width, rank = b.shape[1] // 2, b.shape[2]
  return function(first, count)
    local rows, part = weight:slice(1, first, count), first // width
    if count == 0 or (first + count - 1) // width ~= part then return fold(rows, spread(b, first, count), a, rank) end
    if part == 1 then return rows end
    return fold(rows, b:slice(1, part == 0 and first or first - width, count),
      a:slice(1, part == 0 and 0 or rank, rank), rank)
  end
end

local function linear_rows(weight, b, a)
  local rank = b.shape[2]
  return function(first, count) return fold(weight:slice(1, first, count), b:slice(1, first, count), a, rank) end
end

-- AdaLoRA's: A's rows are scaled by E, and ranknum counts those that training left.
local function svd_rows(weight, b, a, e, ranknum)
  local scaled, columns, factors = a:reshape { a:numel() }:totable(), a.shape[2], e:reshape { e:numel() }:totable()
  for i, value in ipairs(scaled) do scaled[i] = value * factors[(i - 1) // columns + 1] end
  a = require "msagen.tensor".from(scaled, a.shape)
  local rank = ranknum:totable()[1] + 1e-5
  return function(first, count) return fold(weight:slice(1, first, count), b:slice(1, first, count), a, rank) end
end

local function svd(name, weight, entries)
  local found = {}
  for i, part in ipairs { "lora_B", "lora_A", "lora_E", "ranknum" } do
    found[i] = entries[name .. "." .. part].found.tensor
  end
  local all = { weight.name, found[2].name, found[1].name, found[3].name, found[4].name }
  local rows
  return deferred.new(weight, function(...)
    rows = rows or svd_rows(weight, table.unpack(found))
    return rows(...)
  end, function() return all end)
end

--- The weight with its LoRA tensors added, computed when it is asked for.
local function folded(name, weight, entries)
  if entries[name .. ".weight"].lora == "svd" then return svd(name, weight, entries) end
  local a = entries[name .. ".lora_A"].found.tensor
  local b = entries[name .. ".lora_B"].found.tensor
  local qkv = entries[name .. ".weight"].lora == "qkv"
  local all = { weight.name, a.name, b.name }
  local function sources(first, count)
    local width = b.shape[1] // 2
    local of_k = qkv and count > 0 and first >= width and first + count <= 2 * width
    return of_k and { weight.name } or all -- k has no pair
  end
  return deferred.new(weight, (qkv and qkv_rows or linear_rows)(weight, b, a), sources)
end

--- SAM's name -> tensor, for every entry of the network that the build computes with. Names of tensors stay the file's
-- own.
-- Folded ones are import.deferred's.
-- @return these, and those that are folded as the file has them: weights without their pair, and what is folded in
function weights.make(entries, model)
  local made, unfolded = {}, {}
  for name, entry in pairs(entries) do
    local found = entry.found
    if found and entry.fate == "used" then
      local tensor = found.tensor
      local base = name:match("^(.*)%.weight$")
      if entry.grid then -- of places, behind the class token's
        tensor = tensor:slice(2, 1, entry.grid * entry.grid):reshape { 1, entry.grid, entry.grid, tensor.shape[3] }
          :rename(found.name)
      end
      if entry.resize and entry.resize[1] == "bicubic" then
        tensor = bicubic(tensor, model.grid):rename(found.name)
      elseif entry.resize then
        tensor = tensor:resample_linear(entry.resize[3]):rename(found.name)
      elseif base and entries[base .. ".lora_A"] then
        unfolded[name] = tensor
        tensor = folded(base, tensor, entries)
      end
      made[name] = tensor
    elseif found and entry.fate == "folded" then
      unfolded[name] = found.tensor
    end
  end
  return made, unfolded
end

return weights
