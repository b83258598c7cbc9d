-- SPDX-License-Identifier: Apache-2.0
--- Scan conversion (docs/ultrasound.md): which place of a frame of lines and samples each pixel of a picture shows. All
-- of it is known when code is generated, so the device has tables.
--   geometry { kind = "linear": pitch mm, steer_deg; "curved": radius mm, line_step_deg; "phased": line_step_deg }
--   image    { width, height, x0, z0, dx, dz }: mm; pixel (i, j)'s centre is x0 + (j + 1/2) dx, z0 + (i + 1/2) dz

local geometry = {}

--- The place in lines, and in samples of the frame, at x, z mm.
-- @param p { geometry, fs, c, delay_samples, decimate } @param lines of the frame
function geometry.place(p, lines, x, z)
  local g, line, r = p.geometry, nil, nil
  local middle = (lines - 1) / 2
  if g.kind == "linear" then
    local angle = math.rad(g.steer_deg or 0)
    r = z / math.cos(angle)
    line = (x - z * math.tan(angle)) / g.pitch + middle
  else
    local R = g.radius or 0
    r = math.sqrt(x * x + (z + R) * (z + R)) - R
    line = math.atan(x, z + R) / math.rad(g.line_step_deg) + middle
  end
  return line, (r * 1e-3 * 2 * p.fs / p.c - (p.delay_samples or 0)) / (p.decimate or 1)
end

-- Bits behind the point of numbers from 0 to count - 1 in 31 bits: no more than a float holds.
local function bits_for(count)
  local whole = 0
  while 1 << whole < count do whole = whole + 1 end
  return math.min(23, 31 - whole)
end

local function fixed(x, bits) return string.pack("<I4", math.floor(x * (1 << bits) + 0.5)) end

-- A picture whose columns are lines and whose rows are samples: a place for each of them.
local function grid(p, lines, samples, made)
  local o, at_line, at_sample = p.image, {}, {}
  local function take(list, count, from, step, last, bits, place)
    local first
    for i = 0, count - 1 do
      local at = place(from + (i + 0.5) * step)
      if at >= 0 and at <= last then
        first = first or i
        list[#list + 1] = fixed(at, bits)
      end
    end
    return first or 0, #list
  end
  made.first_column, made.columns = take(at_line, o.width, o.x0, o.dx, lines - 1, made.line_bits, function(x)
    return (geometry.place(p, lines, x, 0))
  end)
  made.first_row, made.rows = take(at_sample, o.height, o.z0, o.dz, samples - 1, made.sample_bits, function(z)
    return select(2, geometry.place(p, lines, 0, z))
  end)
  made.lines, made.samples = table.concat(at_line), table.concat(at_sample)
  made.inside = made.columns * made.rows
  return made
end

--- The tables of a picture.
-- @param p as geometry.place's, with image @param lines, samples of the frame
-- @return { line_bits, sample_bits, inside = pixels; lines, samples = bytes: 32-bit whole numbers with so many bits
-- behind the point }, with runs (bytes: { first pixel, how many } each), or where columns are lines and rows are
-- samples with first_column, columns, first_row, rows
function geometry.tables(p, lines, samples)
  local o, g = p.image, p.geometry
  local made = { line_bits = bits_for(lines), sample_bits = bits_for(samples) }
  if g.kind == "linear" and (g.steer_deg or 0) == 0 then return grid(p, lines, samples, made) end
  local line_rows, sample_rows, runs, inside = {}, {}, {}, 0
  for i = 0, o.height - 1 do
    local first, z, at_line, at_sample = nil, o.z0 + (i + 0.5) * o.dz, {}, {}
    for j = 0, o.width do
      local line, sample = geometry.place(p, lines, o.x0 + (j + 0.5) * o.dx, z)
      if j < o.width and line >= 0 and line <= lines - 1 and sample >= 0 and sample <= samples - 1 then
        first = first or j
        at_line[#at_line + 1], at_sample[#at_sample + 1] = fixed(line, made.line_bits), fixed(sample, made.sample_bits)
      elseif first then
        runs[#runs + 1], first = string.pack("<I4I4", i * o.width + first, j - first), nil
      end
    end
    inside = inside + #at_line
    line_rows[i + 1], sample_rows[i + 1] = table.concat(at_line), table.concat(at_sample)
  end
  made.lines, made.samples, made.runs = table.concat(line_rows), table.concat(sample_rows), table.concat(runs)
  made.inside = inside
  return made
end

return geometry
