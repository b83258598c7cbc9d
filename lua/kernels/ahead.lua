-- SPDX-License-Identifier: Apache-2.0
--- How products fetch panels ahead: while a tile of rows meets a group of panels, it asks for a share of the next group
-- at each step, so that all tiles of rows together have asked for it.

--- @param board a board's table, whose `prefetch` says from how many bytes of panels on
-- @param tiling of lua/kernels/tiles.lua: order, rows, columns, blocks if there are any
-- @param panels how many there are @param steps of a panel @param bytes of a step of a panel
-- @return bytes that a tile asks for at each step, a power of two; false where panels are few, where no group follows
-- another, and where a few tiles would have to ask for it all
return function(board, tiling, panels, steps, bytes)
  local tiles, widest = 0, 0
  if not board.prefetch or panels * steps * bytes < board.prefetch or tiling.order ~= "columns"
    or tiling.blocks and #tiling.blocks > 1 then
    return false
  end
  for _, row in ipairs(tiling.rows) do tiles = tiles + (row.last - row.first) // row.mr end
  for _, column in ipairs(tiling.columns) do
    if column.parts then return false end
    widest = math.max(widest, column.np)
  end
  local share = 4
  while share * tiles < bytes * widest do share = 2 * share end
  return share <= 64 and share
end
