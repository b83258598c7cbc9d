-- SPDX-License-Identifier: Apache-2.0
--- A pass of Fourier transforms of a few points (lua/signal/points.lua), each lane a line. Request: part; points; is,
-- xs, ys, s, t: distances, as the part has them; inverse; some: how many points part first reads.
-- @return the kernel: first and real_first f(x, y), turned f(y, w), real_zero and real_middle f(x, y),
-- real_turned f(x, y, z, w), halves_zero f(x, y, z), halves f(x, y, z, v, w), mirror and re f(x, z)
local closed = require "support.closed"
local points = require "signal.points"
local requests = require "kernels.requests"
local schema = require "support.schema"

local size = requests.size
local TWO = "2 * lanes"

-- By part: parameters; numbers behind them; how pointers move from one trip to the next.
local PARTS = {
  first = { "const float *restrict x, float *restrict y", { "count", "is", "xs", "ys" }, { x = "xs", y = "ys" } },
  turned = { "float *y, const float *w", { "count", "s" }, { y = TWO, w = "2 * (points - 1)" } },
  real_first = { "const float *restrict x, float *restrict y", { "count", "is", "xs", "ys" }, { x = "xs", y = "ys" } },
  real_zero = { "const float *restrict x, float *restrict y", { "s", "t" }, {} },
  real_middle = { "const float *restrict x, float *restrict y", { "s", "t" }, {} },
  real_turned = { "const float *restrict x, float *y, float *z, const float *w", { "count", "s", "t" },
    { x = TWO, y = TWO, z = "-2 * lanes", w = "2 * (points - 1)" } },
  mirror = { "const float *x, float *z", { "count" }, { x = TWO, z = "-2 * lanes" } },
  re = { "const float *restrict x, float *restrict z", { "count" }, { x = TWO, z = "1 * lanes" } },
  halves_zero = { "const float *x, const float *y, float *restrict z", {}, {} },
  halves = { "const float *x, const float *y, float *z, float *v, const float *w", { "count" },
    { x = TWO, y = "-2 * lanes", z = TWO, v = "-2 * lanes", w = "2" } },
}

-- The lines that end a trip.
local function moves_of(part, n, W)
  local lines = {}
  for _, name in ipairs(closed.sorted(part[3])) do
    local by = part[3][name]:gsub("(%d) %* lanes", function(times) return tostring(times * W) end)
    by = by:gsub("2 %* %(points %- 1%)", tostring(2 * (n - 1)))
    lines[#lines + 1] = by:sub(1, 1) == "-" and ("%s -= %s;"):format(name, by:sub(2)) or ("%s += %s;"):format(name, by)
  end
  return lines
end

return { request = requests.request({ part = { schema.one_of(table.unpack(closed.sorted(PARTS))), true },
    points = { size, true } }, { count = size, is = size, xs = size, ys = size, s = size, t = size,
    inverse = schema.flag, some = size }), lanes = true,
  make = function(K, f)
    local part, W = PARTS[f.part], K.isa.flushes and 1 or K.isa.width
    local numbers, fields = {}, { part = f.part, points = f.points, inverse = f.inverse or false,
      some = f.some or false }
    for i, name in ipairs(part[2]) do
      numbers[i], fields[name] = { name, name }, f[name] or error(("fft: %s: no %s"):format(f.part, name))
    end
    local names = {}
    for i, name in ipairs(part[2]) do names[i] = "size_t " .. name end
    fields.parameters = table.concat({ part[1], table.unpack(names) }, ", ")
    fields.loops = part[2][1] == "count"
    fields.lines = points.body(f.part, f.points, W, f.inverse, f.some)
    fields.moves, fields.unused = moves_of(part, f.points, W), {}
    local text = table.concat(fields.lines, " ") .. table.concat(fields.moves, " ")
    for _, name in ipairs(part[2]) do -- where there is one point, there is no distance
      if name ~= "count" and not text:find("%f[%w_]" .. name .. "%f[^%w_]") then
        fields.unused[#fields.unused + 1] = name
      end
    end
    return K:make("fft", ("msa_%sfft_%s_%d"):format(f.inverse and "i" or "", f.part, f.points), fields, numbers)
  end }
