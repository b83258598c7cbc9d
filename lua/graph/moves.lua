-- SPDX-License-Identifier: Apache-2.0
--- Where rows come from: index lists of gather, counted from 0, of images and volumes kept row by row.

local moves = {}

--- An image [n,h,w,c] moved by (dy, dx): for each place the row that lies there, n h w beyond the edge.
-- @param stride every so many places, 1 unless given @param more places a side than the image has, 0 unless given
function moves.shifted(shape, dy, dx, stride, more)
  local n, h, w, list = shape[1], shape[2], shape[3], {}
  for slice = 0, n - 1 do
    for y = dy, h - 1 + dy + (more or 0), stride or 1 do
      for x = dx, w - 1 + dx + (more or 0), stride or 1 do
        list[#list + 1] = y >= 0 and y < h and x >= 0 and x < w and (slice * h + y) * w + x or n * h * w
      end
    end
  end
  return list
end

--- All windows of n square grids, whole, as rows one behind the other.
-- @return for each row the token there, n grid^2 beyond the edge; and back: for each token its row
function moves.whole_windows(n, grid, side)
  local index, back, across = {}, {}, (grid + side - 1) // side
  for window = 0, n * across * across - 1 do
    local top, left = window // across % across * side, window % across * side
    for place = 0, side * side - 1 do
      local y, x = top + place // side, left + place % side
      local token = y < grid and x < grid and (window // (across * across) * grid + y) * grid + x
      index[#index + 1] = token or n * grid * grid
      if token then back[token + 1] = #index - 1 end
    end
  end
  return index, back
end

--- For each pair of places of a window, queries outside, how far they are apart: down times the side, and across.
function moves.distances(side)
  local list, count = {}, side * side
  for m = 0, count - 1 do
    for n = 0, count - 1 do
      list[#list + 1] = math.abs(m // side - n // side) * side + math.abs(m % side - n % side)
    end
  end
  return list
end

--- The windows of n grids of height x width. @param side of a window; nil: a grid is one set
-- @return { rows = the tokens within, places = where each lies in its window, width = tokens a row, side_h, side_w =
-- the window's }...
function moves.windows(n, height, width, side)
  local sets, side_h, side_w = {}, side or height, side or width
  for grid = 0, n - 1 do
    for top = 0, height - 1, side_h do
      for left = 0, width - 1, side_w do
        local set = { rows = {}, places = {}, width = math.min(side_w, width - left), side_h = side_h, side_w = side_w }
        for y = 0, math.min(side_h, height - top) - 1 do
          for x = 0, set.width - 1 do
            set.rows[#set.rows + 1] = (grid * height + top + y) * width + left + x
            set.places[#set.places + 1] = y * side_w + x
          end
        end
        sets[#sets + 1] = set
      end
    end
  end
  return sets
end

-- How a side of `length` places is parted into windows: list of { places of a window, windows of so many }.
local function parted(length, side)
  local list, rest = {}, length % side
  if length >= side then list[1] = { side, length // side } end
  if rest > 0 then list[#list + 1] = { rest, 1 } end
  return list
end

--- The windows of a grid by what they hold, without going through them: list of { height, width, count }.
function moves.window_kinds(height, width, side)
  local list = {}
  for _, y in ipairs(parted(height, side or height)) do
    for _, x in ipairs(parted(width, side or width)) do
      list[#list + 1] = { height = y[1], width = x[1], count = y[2] * x[2] }
    end
  end
  return list
end

--- Sequences along the depth of a volume of `slices` grids: at each place of a side x side window, runs of `length`
-- consecutive entries, an entry being one of the windows x windows windows of a slice, slices first.
-- @return index (a row for each sequence's member, slices grid^2 for padding), and back: for each token its member
function moves.sequences(slices, grid, windows, side, length)
  local index, back, tokens = {}, {}, slices * grid * grid
  for run = 0, slices * windows * windows // length - 1 do
    for place = 0, side * side - 1 do
      for entry = run * length, (run + 1) * length - 1 do
        local slice, window = entry // (windows * windows), entry % (windows * windows)
        local y, x = window // windows * side + place // side, window % windows * side + place % side
        local token = y < grid and x < grid and (slice * grid + y) * grid + x or tokens
        index[#index + 1] = token
        if token < tokens then back[token + 1] = #index - 1 end
      end
    end
  end
  return index, back
end

return moves
