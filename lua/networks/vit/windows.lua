-- SPDX-License-Identifier: Apache-2.0
-- Which blocks are global, the window of the others, and the file's own grid, from the lengths of the relative-position
-- tables.
--
-- A table is 2n-1 long: n the window in windowed blocks, the grid in global ones. pos_embed tells the grid in most
-- dialects; where it does not, the tables themselves must, and then the longer kind is the global one unless the
-- order of the blocks says otherwise (the last block of every known encoder is global).

local windows = {}

local function listed(blocks, test)
  local list = {}
  for i = 0, #blocks do
    if test(blocks[i], i) then list[#list + 1] = tostring(i) end
  end
  return table.concat(list, ",")
end

local function kinds(sizes)
  local seen, list = {}, {}
  for i = 0, #sizes do
    if not seen[sizes[i]] then
      seen[sizes[i]] = true
      list[#list + 1] = sizes[i]
    end
  end
  table.sort(list)
  return list
end

local function result(sizes, grid, is_global)
  local global, window, first = {}, 0, nil
  for i = 0, #sizes do
    global[i] = is_global(i)
    if not global[i] then
      if first and sizes[i] ~= window then
        return nil, { block = i, expected = ("a window of %d as block %d has%s"):format(window, first,
          grid and (", or a global block's grid of %d"):format(grid) or "") }
      end
      first, window = first or i, sizes[i]
    end
  end
  return { global = global, window = window, grid = grid }
end

--- sizes[0..n-1]: (length+1)/2 of each block's table.
-- known: {grid = from pos_embed or nil, lora = true if global tables are 127 long, requested = grid asked for or nil,
-- global_blocks = array or nil}.
-- Gives {global, window, grid, undecided}; or nil and {block, expected} for a block that does not fit; or nil and
-- {choices = {"1,3", "0,2"}} where only the user can tell.
function windows.find(sizes, known)
  local grid = known.grid
  local list = kinds(sizes)

  if known.global_blocks then
    local chosen = {}
    for _, i in ipairs(known.global_blocks) do
      chosen[i] = true
      grid = grid or sizes[i]
      if sizes[i] ~= grid then
        return nil, { block = i, expected = ("a grid of %d, as --global-blocks calls the block global"):format(grid) }
      end
    end
    return result(sizes, grid or known.requested, function(i) return chosen[i] or false end)
  end

  if grid then
    local found, problem = result(sizes, grid, function(i) return sizes[i] == grid end)
    if found then found.undecided = #list == 1 and list[1] == grid end
    return found, problem
  end

  if #list == 1 then
    local found = result(sizes, list[1], function() return true end)
    found.undecided = true
    return found
  elseif #list > 2 then
    local seen = {}
    for i = 0, #sizes do
      if sizes[i] ~= seen[1] and sizes[i] ~= seen[2] then
        if #seen == 2 then
          return nil, { block = i,
            expected = ("a window or grid of %d or %d, as the blocks before have"):format(seen[1], seen[2]) }
        end
        seen[#seen + 1] = sizes[i]
      end
    end
  end

  local short, long = list[1], list[2]
  local last = sizes[#sizes]
  if known.lora and long == 64 or last == long or known.requested == long then
    grid = long
  elseif known.requested == short then
    grid = short
  else
    return nil, { choices = {
      listed(sizes, function(size) return size == long end),
      listed(sizes, function(size) return size == short end),
    } }
  end
  return result(sizes, grid, function(i) return sizes[i] == grid end)
end

return windows
