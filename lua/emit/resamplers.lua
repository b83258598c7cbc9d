-- SPDX-License-Identifier: Apache-2.0
--- What runtime/msa_resize.c, msa_spline.c, msa_area.c and msa_nearest.c compute, as their sources define it: plain and
-- slow, for a few pixels of small pictures.
--
-- Each is resampler(at, width, height, out_width, out_height) -> function(x, y, channel) -> 0..255, where
-- at is function(x, y, channel) -> 0..255 of the picture.

local resamplers = {}

local WEIGHT = 1 << 22

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end
local function floor(x) return math.tointeger(math.floor(x)) end

-- What `make(i)` gives, made once for each i.
local function remembered(make)
  return setmetatable({}, { __index = function(t, i)
    local value = make(i)
    t[i] = value
    return value
  end })
end

-- Pillow's triangle at output place `at`: the first input place and the weights in 22 bits of fraction.
local function triangle(input, output, at)
  local scale = input / output
  local support = math.max(scale, 1.0)
  local centre, inverse = (at + 0.5) * scale, 1.0 / support
  local function towards_zero(x) return math.tointeger(x >= 0 and math.floor(x) or math.ceil(x)) end
  local first = math.max(0, towards_zero(centre - support + 0.5))
  local last = math.min(input, towards_zero(centre + support + 0.5))
  local values, sum = {}, 0.0
  for k = first, last - 1 do
    local x = math.abs((k - centre + 0.5) * inverse)
    values[#values + 1] = x < 1.0 and 1.0 - x or 0.0
    sum = sum + values[#values]
  end
  for i, v in ipairs(values) do values[i] = floor(0.5 + v / sum * WEIGHT) end
  return { first = first, weights = values }
end

local function rounded(sum) return math.min(255, (sum + WEIGHT // 2) >> 22) end

--- Pillow's bilinear resize, with 8-bit rows between its two passes.
function resamplers.bilinear(at, width, height, out_width, out_height)
  local across = remembered(function(i) return triangle(width, out_width, i) end)
  local down = remembered(function(i) return triangle(height, out_height, i) end)
  local wide = remembered(function(key)
    local c, x, y = key % 3, key // 3 % out_width, key // 3 // out_width
    local sum = 0
    for k, weight in ipairs(across[x].weights) do sum = sum + weight * at(across[x].first + k - 1, y, c) end
    return rounded(sum)
  end)
  return function(x, y, c)
    local sum = 0
    for k, weight in ipairs(down[y].weights) do
      sum = sum + weight * wide[((down[y].first + k - 1) * out_width + x) * 3 + c]
    end
    return rounded(sum)
  end
end

function resamplers.nearest(at, width, height, out_width, out_height)
  return function(x, y, c) return at(x * width // out_width, y * height // out_height, c) end
end

-- To the nearest whole number, ties to even, as a byte.
local function byte(x)
  local low = floor(x)
  local rest = x - low
  if rest > 0.5 or rest == 0.5 and low % 2 == 1 then low = low + 1 end
  return math.min(255, low)
end

-- What an output place covers of an axis: { place, weight } each.
local function cover(input, scale, at)
  local from = at * scale
  local to, width = from + scale, math.min(scale, input - from)
  local last = math.min(floor(to), input - 1)
  local first = math.min(math.tointeger(math.ceil(from)), last)
  local list = {}
  if first - from > 1e-3 then list[1] = { first - 1, f32((first - from) / width) } end
  for place = first, last - 1 do list[#list + 1] = { place, f32(1.0 / width) } end
  if to - last > 1e-3 then
    list[#list + 1] = { last, f32(math.min(math.min(to - last, 1.0), width) / width) }
  end
  return list
end

-- Where the linear stand-in for means reads, and its weights in 11 bits of fraction.
local function between(input, output, scale, at, across)
  local low = floor(at * scale)
  local place = f32((at + 1) - (low + 1) * (output / input))
  local share = place > 0.0 and f32(place - floor(place)) or 0.0
  low = math.min(low, input - 1)
  if across and low == input - 1 then return { low, low, 2048, 0 } end
  local function weight(s)
    local whole = floor(s)
    local rest = s - whole
    return (rest > 0.5 or rest == 0.5 and whole % 2 == 1) and whole + 1 or whole
  end
  return { low, math.min(low + 1, input - 1), weight(f32(f32(1.0 - share) * 2048)), weight(f32(share * 2048)) }
end

local function linear(at, width, height, out_width, out_height, scale_x, scale_y)
  return function(x, y, c)
    local h = between(width, out_width, scale_x, x, true)
    local v = between(height, out_height, scale_y, y, false)
    local function row(from) return at(h[1], from, c) * h[3] + at(h[2], from, c) * h[4] end
    return ((v[3] * (row(v[1]) >> 4) >> 16) + (v[4] * (row(v[2]) >> 4) >> 16) + 2) >> 2
  end
end

--- OpenCV's INTER_AREA.
function resamplers.area(at, width, height, out_width, out_height)
  local scale_x, scale_y = 1.0 / (out_width / width), 1.0 / (out_height / height)
  if scale_x < 1.0 or scale_y < 1.0 then
    return linear(at, width, height, out_width, out_height, scale_x, scale_y)
  end
  local function whole(scale)
    local n = floor(scale + 0.5)
    return math.abs(scale - n) < 2.220446049250313e-16 and n or nil
  end
  local nx, ny = whole(scale_x), whole(scale_y)
  if nx and ny then
    return function(x, y, c)
      local sum = 0
      for i = 0, nx * ny - 1 do sum = sum + at(x * nx + i % nx, y * ny + i // nx, c) end
      if nx == 2 and ny == 2 then return (sum + 2) >> 2 end
      return byte(f32(sum * f32(1.0 / (nx * ny))))
    end
  end
  local across = remembered(function(x) return cover(width, scale_x, x) end)
  local down = remembered(function(y) return cover(height, scale_y, y) end)
  return function(x, y, c)
    local sum = 0.0
    for _, v in ipairs(down[y]) do
      local row = 0.0
      for _, h in ipairs(across[x]) do row = f32(row + f32(at(h[1], v[1], c) * h[2])) end
      sum = f32(sum + f32(v[2] * row))
    end
    return byte(sum)
  end
end

-- The B-spline's prefilter: its pole, and how far its response is followed.
local POLE, REACH = -0.26794919243112270, 24

-- e^-x, in the order of runtime/msa_spline.c.
local function falling(x)
  local n = floor(x * 1.4426950408889634 + 0.5)
  local r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10
  local sum, power = 1.0, 1.0
  for k = 14, 1, -1 do sum = 1.0 - r * sum / k end
  for _ = 1, n do power = power * 0.5 end
  return sum * power
end

local function mirrored(at, count)
  if count == 1 then return 0 end
  while at < 0 or at > count - 1 do at = at < 0 and -at or 2 * (count - 1) - at end
  return at
end

-- Half of a Gaussian's weights from 0 on, and its radius.
local function gaussian(input, output)
  local sigma = (input / output - 1.0) / 2.0
  local radius = sigma > 0.0 and floor(4.0 * sigma + 0.5) or 0
  local half, sum = { [0] = 1.0 }, 1.0
  for k = 1, radius do
    half[k] = falling(0.5 / (sigma * sigma) * k * k)
    sum = sum + 2.0 * half[k]
  end
  for k = 0, radius do half[k] = half[k] / sum end
  return half, radius
end

-- Half of the Gaussian followed by the prefilter, and its radius.
local function prefiltered(half, radius)
  local response, kernel = { [0] = 1.7320508075688772 }, {}
  for k = 1, REACH do response[k] = response[k - 1] * POLE end
  for at = 0, radius + REACH do
    local sum = 0.0
    for k = -radius, radius do
      local distance = math.abs(at - k)
      if distance <= REACH then sum = sum + half[math.abs(k)] * response[distance] end
    end
    kernel[at] = sum
  end
  return kernel, radius + REACH
end

local function place(input, output, at)
  local x = (at + 0.5) * (input / output) - 0.5
  local low = floor(x)
  local t = x - low
  local rest = 1.0 - t
  return { first = low - 1, [0] = rest * rest * rest / 6.0, (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
    (4.0 - 6.0 * rest * rest + 3.0 * rest * rest * rest) / 6.0, t * t * t / 6.0 }
end

-- A row's values [0..count-1] to its spline's coefficients, in place.
local function prefilter(line, count)
  if count == 1 then return line end
  local first, power = 0.0, 1.0
  for k = 0, REACH do
    first = first + power * line[mirrored(k, count)]
    power = power * POLE
  end
  line[0] = first
  for x = 1, count - 1 do line[x] = line[x] + POLE * line[x - 1] end
  line[count - 1] = POLE / (POLE * POLE - 1.0) * (line[count - 1] + POLE * line[count - 2])
  for x = count - 1, 1, -1 do line[x - 1] = POLE * (line[x] - line[x - 1]) end
  for x = 0, count - 1 do line[x] = line[x] * 6.0 end
  return line
end

-- The smallest and the largest value of the picture.
local function bounds(at, width, height)
  local low, high = 255, 0
  for i = 0, width * height * 3 - 1 do
    local value = at(i // 3 % width, i // 3 // width, i % 3)
    low, high = math.min(low, value), math.max(high, value)
  end
  return low, high
end

-- Of a colour of a source row, the coefficients of its spline after the Gaussian.
local function coefficients(at, width, half, radius, y, c)
  local line = {}
  for x = 0, width - 1 do
    local sum = half[0] * at(x, y, c)
    for k = 1, radius do
      sum = sum + half[k] * (at(mirrored(x - k, width), y, c) + at(mirrored(x + k, width), y, c))
    end
    line[x] = sum
  end
  return prefilter(line, width)
end

-- A source row at the output's width: out_width * 3 numbers from 1 on.
local function narrowed(at, width, places, out_width, half, radius, y)
  local row = {}
  for c = 0, 2 do
    local line = coefficients(at, width, half, radius, y, c)
    for x = 0, out_width - 1 do
      local p, sum = places[x], 0.0
      for k = 0, 3 do sum = sum + p[k] * line[mirrored(p.first + k, width)] end
      row[3 * x + c + 1] = sum
    end
  end
  return row
end

-- The weights of the source rows around an output row: of rows from the first place's on, `reach` before it and after.
local function weights_down(p, kernel, reach)
  local list = {}
  for i = -reach, 3 + reach do
    local weight = 0.0
    for k = 0, 3 do
      local distance = math.abs(i - k)
      weight = weight + (distance <= reach and p[k] * kernel[distance] or 0.0)
    end
    list[#list + 1] = weight
  end
  return list
end

--- scikit-image's resize of order 3 with anti-aliasing, truncated to bytes.
function resamplers.spline(at, width, height, out_width, out_height)
  local half, radius = gaussian(width, out_width)
  local kernel, reach = prefiltered(gaussian(height, out_height))
  local low, high = bounds(at, width, height)
  local places = remembered(function(x) return place(width, out_width, x) end)
  local wide = remembered(function(y) return narrowed(at, width, places, out_width, half, radius, y) end)
  local rows = remembered(function(y)
    local p, sums = place(height, out_height, y), {}
    for i = 1, out_width * 3 do sums[i] = 0.0 end
    for i, weight in ipairs(weights_down(p, kernel, reach)) do
      local row = wide[mirrored(p.first + i - 1 - reach, height)]
      for k = 1, #sums do sums[k] = sums[k] + weight * row[k] end
    end
    for i, sum in ipairs(sums) do sums[i] = floor(math.min(high, math.max(low, sum))) end
    return sums
  end)
  return function(x, y, c) return rows[y][3 * x + c + 1] end
end

return resamplers
