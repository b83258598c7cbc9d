-- SPDX-License-Identifier: Apache-2.0
--- Grids of voxels: which way a scan's axes run in the patient, a crop of it, and the same on axes that run to the
-- right, to the front and upwards (RAS), with another spacing. All as MONAI's CropForeground, Orientation and Spacing
-- have it; msagen.intensity reads the voxels.
local fail = require "support.fail"

local grid = {}

grid.MOST_SIDE, grid.MOST_SLICES, grid.MOST_VOXELS = 16384, 65536, 2 ^ 30

local TOLERANCE = 1e-3 -- MONAI's AFFINE_TOL: spacings, in mm, and matrices that differ by less are the same

-- ---- matrices of 3 x 3, rows of rows ----

local function made(f)
  local m = {}
  for i = 1, 3 do
    m[i] = {}
    for j = 1, 3 do m[i][j] = f(i, j) end
  end
  return m
end

local function determinant(m)
  return m[1][1] * (m[2][2] * m[3][3] - m[2][3] * m[3][2]) - m[1][2] * (m[2][1] * m[3][3] - m[2][3] * m[3][1])
    + m[1][3] * (m[2][1] * m[3][2] - m[2][2] * m[3][1])
end

-- The inverse's transpose.
local function cofactors(m)
  local d = determinant(m)
  return made(function(i, j)
    local a, b, c, e = i % 3 + 1, (i + 1) % 3 + 1, j % 3 + 1, (j + 1) % 3 + 1
    return (m[a][c] * m[b][e] - m[a][e] * m[b][c]) / d
  end)
end

local function product(a, b)
  return made(function(i, j) return a[i][1] * b[1][j] + a[i][2] * b[2][j] + a[i][3] * b[3][j] end)
end

local function applied(m, v)
  local out = {}
  for i = 1, 3 do out[i] = m[i][1] * v[1] + m[i][2] * v[2] + m[i][3] * v[3] end
  return out
end

local function column_length(m, j) return math.sqrt(m[1][j] ^ 2 + m[2][j] ^ 2 + m[3][j] ^ 2) end

-- The orthogonal matrix nearest to one of full rank: its polar factor, by Newton's iteration.
local function nearest_rotation(m)
  for _ = 1, 100 do
    local other = cofactors(m)
    local next, step = made(function(i, j) return (m[i][j] + other[i][j]) / 2 end), 0
    for i = 1, 3 do
      for j = 1, 3 do step = math.max(step, math.abs(next[i][j] - m[i][j])) end
    end
    m = next
    if step < 1e-15 then break end
  end
  return m
end

-- ---- orientation ----

--- Which of the patient's axes (1 right, 2 front, 3 up) each of a file's axes runs along most, as nibabel's
-- io_orientation decides it. @return axes, signs
local function orientation(m)
  local lengths = { column_length(m, 1), column_length(m, 2), column_length(m, 3) }
  local turned = nearest_rotation(made(function(i, j) return m[i][j] / lengths[j] end))
  local axes, signs, taken = {}, {}, {}
  for j = 1, 3 do
    local best = nil
    for i = 1, 3 do
      if not taken[i] and (not best or math.abs(turned[i][j]) > math.abs(turned[best][j])) then best = i end
    end
    axes[j], signs[j], taken[best] = best, turned[best][j] < 0 and -1 or 1, true
  end
  return axes, signs
end

-- A scan's affine as a matrix and a translation; refused where it places nothing.
local function placed(scan, where)
  local place = scan.place
  if not place or not place.affine then
    fail("%s: expected a file that says where its voxels lie in the patient, such as NIfTI, found %s", where,
      scan.format)
  end
  local m, t = made(function(i, j) return place.affine[i][j] end), {}
  for i = 1, 3 do t[i] = place.affine[i][4] end
  local volume = column_length(m, 1) * column_length(m, 2) * column_length(m, 3)
  local flat = math.abs(determinant(m)) / volume
  if not (flat > 1e-6 and volume < 1e30 and volume > 1e-30) then
    fail("%s: expected axes that span a volume, found an affine that is singular", where)
  end
  for i = 1, 3 do
    if not (math.abs(t[i]) < 1e30) then fail("%s: expected an affine of numbers, found one that is not", where) end
  end
  return m, t
end

-- Of a box of [N,H,W] the axes that run right, front and up: lists of the dimension, its first element, its size, and
-- whether it runs backwards; with their matrix and the place of their first voxel.
local function turned(scan, box, where)
  local m, t = placed(scan, where)
  local axes, signs = orientation(m)
  local place, sides, columns, corner = scan.place, {}, {}, {}
  for d = 1, 3 do
    local file, flipped = place.axes[d].axis, place.axes[d].flipped
    local first, size, length = box[d][1], box[d][2], scan.values.shape[d]
    local backwards = (signs[file] < 0) ~= (flipped and true or false)
    local start = backwards and first + size - 1 or first
    sides[axes[file]] = { axis = d, first = start, size = size, flipped = backwards }
    columns[axes[file]] = { file = file, sign = signs[file] }
    corner[file] = flipped and length - 1 - start or start
  end
  local matrix = made(function(i, r) return columns[r].sign * m[i][columns[r].file] end)
  local moved = applied(m, corner)
  for i = 1, 3 do moved[i] = moved[i] + t[i] end
  return sides, matrix, moved
end

-- ---- spacing ----

-- The upper triangle u with u' u = m' m: spacings on its diagonal, shears above.
local function triangle(m)
  local u = made(function() return 0.0 end)
  for i = 1, 3 do
    for j = i, 3 do
      local sum = 0.0
      for k = 1, 3 do sum = sum + m[k][i] * m[k][j] end
      for k = 1, i - 1 do sum = sum - u[k][i] * u[k][j] end
      u[i][j] = i == j and math.sqrt(sum) or sum / u[i][i]
    end
  end
  return u
end

local function triangle_inverse(u)
  local v = made(function() return 0.0 end)
  for j = 1, 3 do
    v[j][j] = 1 / u[j][j]
    for i = j - 1, 1, -1 do
      local sum = 0.0
      for k = i + 1, j do sum = sum + u[i][k] * v[k][j] end
      v[i][j] = -sum / u[i][i]
    end
  end
  return v
end

local function round_even(x)
  local low = math.floor(x)
  local rest = x - low
  if rest == 0.5 then return low % 2 == 0 and low or low + 1 end
  return rest < 0.5 and low or low + 1
end

-- The eight corners of a box of these sizes, the last axis fastest.
local function corners(sizes)
  local list = {}
  for k = 0, 7 do
    list[k + 1] = { (k & 4) > 0 and sizes[1] - 1.0 or 0.0, (k & 2) > 0 and sizes[2] - 1.0 or 0.0,
      (k & 1) > 0 and sizes[3] - 1.0 or 0.0 }
  end
  return list
end

-- Sizes on the new axes, and where the new first voxel lies: at the corner that is the smallest along all new axes; in
-- a sheared grid, where there is none, such that the middles of both grids are the same.
-- @param forth old index -> new index, without its offset  @param back the inverse
local function extent(sizes, forth, back)
  local there, low, high, new = {}, {}, {}, {}
  for k, corner in ipairs(corners(sizes)) do there[k] = applied(forth, corner) end
  for r = 1, 3 do
    low[r], high[r] = math.huge, -math.huge
    for k = 1, 8 do low[r], high[r] = math.min(low[r], there[k][r]), math.max(high[r], there[k][r]) end
    new[r] = round_even(high[r] - low[r] + 1)
  end
  for k, corner in ipairs(corners(sizes)) do
    local smallest = true
    for r = 1, 3 do smallest = smallest and there[k][r] - low[r] <= 1e-8 end
    if smallest then return new, corner end
  end
  local middle, offset = applied(back, { new[1] / 2, new[2] / 2, new[3] / 2 }), {}
  for r = 1, 3 do offset[r] = sizes[r] / 2 - middle[r] end
  return new, offset
end

-- Whether a is near b as MONAI's allclose has it.
local function alike(a, b) return math.abs(a - b) <= TOLERANCE + 1e-5 * math.abs(b) end

-- Whether two matrices with their offsets are alike in all numbers.
local function all_alike(a, offset, b, other)
  for i = 1, 3 do
    if not alike(offset[i], other[i]) then return false end
    for j = 1, 3 do
      if not alike(a[i][j], b[i][j]) then return false end
    end
  end
  return true
end

-- Refuse a grid that nobody can want, before memory is asked for.
local function check_size(shape, where)
  for d = 1, 3 do
    local most = d == 1 and grid.MOST_SLICES or grid.MOST_SIDE
    if not (shape[d] >= 1 and shape[d] <= most) then
      fail("%s: expected 1 to %d voxels along each axis, and 1 to %d slices, found %.0f x %.0f x %.0f", where,
        grid.MOST_SIDE, grid.MOST_SLICES, shape[1], shape[2], shape[3])
    end
  end
  if shape[1] * shape[2] * shape[3] > grid.MOST_VOXELS then
    fail("%s: expected at most %.0f voxels, found %.0f x %.0f x %.0f", where, grid.MOST_VOXELS, shape[1], shape[2],
      shape[3])
  end
end

--- Refuse a scan of more voxels than anyone can want prepared.
function grid.check(scan, where) check_size(scan.values.shape, where) end

-- The three rows of a place (regrid.h) of new axes up, right, front.
local function rows_of(m, offset)
  local rows = {}
  for r = 1, 3 do rows[r] = { m[r][3], m[r][1], m[r][2], offset[r] } end
  return rows
end

-- From the new grid to the scan's own: in voxels of the box, new index = forth (old index - offset).
-- @param order of the box's axes among the new grid's
local function backwards(scan, sides, shape, order, forth, offset, box)
  local rows, whole = {}, {}
  for n, r in ipairs(order) do
    local row, constant = { 0.0, 0.0, 0.0 }, 0.0
    for k = 1, 3 do
      local side = sides[k]
      row[side.axis] = side.flipped and -forth[r][k] or forth[r][k]
      constant = constant + forth[r][k] * ((side.flipped and side.first or -side.first) - offset[k])
    end
    rows[n] = { row[1], row[2], row[3], constant }
    whole[n] = { axis = n, first = 0, size = shape[n], flipped = false }
  end
  return { shape = scan.values.shape, box = whole, place = rows, inside = box }
end

-- All of a grid, as what is inside it.
local function all_of(shape) return { { 0, shape[1] }, { 0, shape[2] }, { 0, shape[3] } } end

local IDENTITY, ORIGIN = made(function(i, j) return i == j and 1.0 or 0.0 end), { 0.0, 0.0, 0.0 }

--- A box of a scan on axes that run right, front and up, with a spacing; slices are the new grid's, from below, rows
-- run to the right, columns to the front.
-- @param box { first from 0, size } of each of [N,H,W]
-- @param spacing mm to the right, to the front and up
-- @return { forth =, back = grids of msagen.intensity, shape = {N', H', W'}, spacing = {mm of each}, place = where the
--   new grid lies, as a scan's place }
function grid.ras(scan, box, spacing, where)
  local sides, m, corner = turned(scan, box, where)
  local sizes, u, target = { sides[1].size, sides[2].size, sides[3].size }, triangle(m), {}
  for r = 1, 3 do
    local old = column_length(m, r)
    target[r] = math.abs(old - spacing[r]) <= TOLERANCE and old or spacing[r]
  end
  local inverse = triangle_inverse(u)
  local forth = made(function(i, j) return u[i][j] / target[i] end)
  local back = made(function(i, j) return inverse[i][j] * target[j] end)
  local new, offset = extent(sizes, forth, back)
  local shape = { new[3], new[1], new[2] }
  check_size(shape, where)
  local affine, start = product(m, back), applied(m, offset)
  for i = 1, 3 do start[i] = start[i] + corner[i] end
  local same = new[1] == sizes[1] and new[2] == sizes[2] and new[3] == sizes[3]
  if same and (all_alike(back, offset, IDENTITY, ORIGIN) or all_alike(m, corner, affine, start)) then
    forth, back, offset, affine, start = IDENTITY, IDENTITY, ORIGIN, m, corner
    for r = 1, 3 do target[r] = column_length(m, r) end
  end
  for d = 1, 3 do shape[d] = math.tointeger(shape[d]) end
  for i = 1, 3 do affine[i][4] = start[i] end
  affine[4] = { 0.0, 0.0, 0.0, 1.0 }
  return { shape = shape, spacing = { target[3], target[1], target[2] },
    forth = { shape = shape, box = sides, place = rows_of(back, offset), inside = all_of(shape) },
    back = backwards(scan, sides, shape, { 3, 1, 2 }, forth, offset, box),
    place = { affine = affine, shape = { shape[2], shape[3], shape[1] },
      axes = { { axis = 3, flipped = false }, { axis = 1, flipped = false }, { axis = 2, flipped = false } } } }
end

local LETTERS = { i = 1, j = 2, k = 3 }
local TOWARDS = { R = { 1, 1 }, L = { 1, -1 }, A = { 2, 1 }, P = { 2, -1 }, S = { 3, 1 }, I = { 3, -1 } }

--- Whether a text names three axes, of slices, rows and columns: the file's (i, j, k, each once), or where they lead to
-- (R or L, A or P, S or I).
function grid.is_axes(text)
  if #text ~= 3 then return false end
  local seen, files = {}, 0
  for letter in text:gmatch "." do
    local axis = LETTERS[letter] or TOWARDS[letter] and TOWARDS[letter][1]
    if not axis or seen[axis] then return false end
    seen[axis], files = true, files + (LETTERS[letter] and 1 or 0)
  end
  return files == 0 or files == 3
end

-- The file's axis that a letter names, and whether it is taken from its end.
local function named(letter, axes, signs)
  if LETTERS[letter] then return LETTERS[letter], false end
  for file = 1, 3 do
    if axes[file] == TOWARDS[letter][1] then return file, signs[file] ~= TOWARDS[letter][2] end
  end
end

--- A scan with its voxels as they are and slices, rows and columns along other axes. @return as grid.ras
function grid.turned(scan, text, where)
  local m = placed(scan, where)
  local axes, signs = orientation(m)
  local shape, sides, spacing, lying = {}, {}, {}, {}
  for n = 1, 3 do
    local file, from_end = named(text:sub(n, n), axes, signs)
    for d = 1, 3 do
      local of = scan.place.axes[d]
      if of.axis == file then
        local flipped, size = from_end ~= (of.flipped and true or false), scan.values.shape[d]
        sides[n] = { axis = d, first = flipped and size - 1 or 0, size = size, flipped = flipped }
        shape[n], spacing[n], lying[n] = size, scan.spacing and scan.spacing[d], { axis = file, flipped = from_end }
      end
    end
  end
  check_size(shape, where)
  local rows = {}
  for r = 1, 3 do rows[r] = { IDENTITY[r][1], IDENTITY[r][2], IDENTITY[r][3], 0.0 } end
  local place = {}
  for key, value in pairs(scan.place) do place[key] = value end
  place.axes = lying
  return { shape = shape, spacing = scan.spacing and spacing, place = place,
    forth = { shape = shape, box = sides, place = rows, inside = all_of(shape) },
    back = backwards(scan, sides, shape, { 1, 2, 3 }, IDENTITY, ORIGIN, all_of(scan.values.shape)) }
end

--- The largest distance in mm between where two scans of one shape place the same voxel, or nil where one of them does
-- not say.
function grid.distance(a, b)
  if not (a.place and a.place.affine and b.place and b.place.affine) then return nil end
  local function world(scan, index)
    local file = {}
    for d = 1, 3 do
      local axis = scan.place.axes[d]
      file[axis.axis] = axis.flipped and scan.values.shape[d] - 1 - index[d] or index[d]
    end
    local at = {}
    for i = 1, 3 do
      local row = scan.place.affine[i]
      at[i] = row[1] * file[1] + row[2] * file[2] + row[3] * file[3] + row[4]
    end
    return at
  end
  local most = 0
  for _, corner in ipairs(corners(a.values.shape)) do
    local p, q = world(a, corner), world(b, corner)
    most = math.max(most, math.sqrt((p[1] - q[1]) ^ 2 + (p[2] - q[2]) ^ 2 + (p[3] - q[3]) ^ 2))
  end
  return most
end

return grid
