-- SPDX-License-Identifier: Apache-2.0
--- Fourier transforms lowered to loops of kernels (docs/fft.md). Lines are in lanes: a point is a vector for each of
-- its numbers, so nothing is shuffled, and what a line gives does not depend on its neighbours.
--
-- A transform of N = r m points is r transforms of m points each, of every r-th point, then m of r points, turned.
-- Those of m are done whole, one after the other, before the next pass: what they work on stays close.

local plan = require "signal.plan"
local tensor = require "msagen.tensor"
local transform = require "signal.transform"

local FEW = 16 -- points that are one pass: halves of a spectrum would add an error that so few have not

local fft = {}

-- A table of turns: for places k from `from` below `to`, c and s of k j / n for each j from 1 below r.
local function turns(n, r, from, to)
  local list = {}
  for k = from, to - 1 do
    for j = 1, r - 1 do
      local c, s = transform.circle(k * j, n)
      list[#list + 1], list[#list + 2] = c, s
    end
  end
  return list
end

-- A part of the segment with these numbers. @return its view
local function part(self, role, list)
  if #list == 0 then list = { 0 } end
  if not self.step.segment.at[role] then
    self.step.segment:vector(role, #list, function()
      local packed = {}
      for i, value in ipairs(list) do packed[i] = string.pack("<f", value) end
      return tensor.frombytes(table.concat(packed), "f32", { #list })
    end, {})
  end
  return self.step:part(role)
end

local function each(body, variable, to, build)
  if to == 1 then return build(body, 0) end
  body:each({ variable = variable, to = to }, build)
end

-- ---- complex points ----

-- Transforms of x, points `is` elements apart, to y.
local function complex(self, body, at, n, x, is, y)
  local p, point = self.plan, 2 * self.W
  local r = p.turns[at]
  if not r then
    body:call(self.K:fft { part = "first", points = n, count = 1, is = is, xs = point, ys = point,
      inverse = self.inverse, some = self.half and n // 2 + 1 or nil }, x, y)
    return
  end
  local m = n // r
  if not p.turns[at + 1] then
    body:call(self.K:fft { part = "first", points = m, count = r, is = r * is, xs = is, ys = m * point,
      inverse = self.inverse, some = self.half and m // 2 + 1 or nil }, x, y)
  else
    each(body, "j" .. at, r, function(inner, j)
      complex(self, inner, at + 1, m, x + j * is, r * is, y + j * (m * point))
    end)
  end
  body:call(self.K:fft { part = "turned", points = r, count = m, s = m * point, inverse = self.inverse }, y,
    part(self, ("turns_%d_%d"):format(n, r), turns(n, r, 0, m)))
end

-- ---- real points ----

local function spectrum(n, W) return (n // 2 + 1) * 2 * W end

-- Transforms of real x, points `is` apart, to the spectrum y. Spectra of each level lie in a place of their own.
local function real(self, body, at, n, x, is, y)
  local p, W = self.plan, self.W
  local r = p.turns[at]
  local point = 2 * W
  if not r then
    body:call(self.K:fft { part = "real_first", points = n, count = 1, is = is, xs = W, ys = point }, x, y)
    return
  end
  local m = n // r
  local s, t = spectrum(m, W), m * point
  local within = self.levels[at]
  if not p.turns[at + 1] then
    body:call(self.K:fft { part = "real_first", points = m, count = r, is = r * is, xs = is, ys = s }, x, within)
  else
    each(body, "j" .. at, r, function(inner, j) real(self, inner, at + 1, m, x + j * is, r * is, within + j * s) end)
  end
  body:call(self.K:fft { part = "real_zero", points = r, s = s, t = t }, within, y)
  local count = (m - 1) // 2
  if count > 0 then
    body:call(self.K:fft { part = "real_turned", points = r, count = count, s = s, t = t }, within + point, y + point,
      y + (m - 1) * point, part(self, ("real_turns_%d_%d"):format(n, r), turns(n, r, 1, count + 1)))
  end
  if m % 2 == 0 then
    body:call(self.K:fft { part = "real_middle", points = r, s = s, t = t }, within + m // 2 * point,
      y + m // 2 * point)
  end
end

-- ---- interface ----

local function new(step, K, n, is_real, inverse)
  return { step = step, K = K, W = fft.lanes(K), n = n, plan = plan.of(n, is_real), inverse = inverse or false,
    levels = {} }
end

--- Lines that are transformed at a time: lanes of the kernels' vectors.
function fft.lanes(K) return K.isa.flushes and 1 or K.isa.width end

--- Elements of a buffer of n complex points, of n real ones, and of the spectrum of n real ones.
function fft.elements(K, n) return 2 * n * fft.lanes(K) end
function fft.real_elements(K, n) return n * fft.lanes(K) end
function fft.spectrum_elements(K, n) return spectrum(n, fft.lanes(K)) end

--- Points that the transform of n complex ones reads of which those from n // 2 + 1 on are 0.
function fft.half_points(n)
  local first = plan.of(n, false).first
  return (first // 2 + 1) * (n // first)
end

--- Add the transform of n complex points.
-- @param x, y views of fft.elements each, which have nothing in common @param inverse exp(+2 pi i j k / n), unscaled
-- @param half points of x from n // 2 + 1 on are 0; those from fft.half_points(n) on are not read
function fft.complex(step, K, body, n, x, y, inverse, half)
  local self = new(step, K, n, false, inverse)
  self.half = half or false
  complex(self, body, 1, n, x, 2 * self.W, y)
end

--- Add the transform of n real points: places 0 to n // 2 of their spectrum.
-- @param x a view of fft.real_elements @param y of fft.spectrum_elements @param pool scratch of the step
function fft.real(step, K, body, n, x, y, pool)
  local self = new(step, K, n, true)
  local m = n
  for at, r in ipairs(self.plan.turns) do
    m = m // r
    self.levels[at] = pool:take("level_" .. at, r * spectrum(m, self.W))
  end
  real(self, body, 1, n, x, self.W, y)
end

-- All places of a spectrum, and the complex points of it.
local function whole_inverse(self, body, n, x, y, pool)
  local K, point, conjugates = self.K, 2 * self.W, (n - 1) // 2
  local all, done = pool:take("all", n * point), pool:take("done", n * point)
  body:copy(all, x, (n // 2 + 1) * point)
  body:zero(all + self.W, self.W)
  if n % 2 == 0 then body:zero(all + (n // 2 * point + self.W), self.W) end
  if conjugates > 0 then
    body:call(K:fft { part = "mirror", points = 1, count = conjugates }, all + point, all + (n - 1) * point)
  end
  complex(self, body, 1, n, all, point, done)
  body:call(K:fft { part = "re", points = 1, count = n }, done, y)
end

--- Points of the complex transform that fft.real_inverse does.
function fft.inverse_points(n) return n % 2 == 0 and n > FEW and n // 2 or n end

--- Add the inverse of fft.real, unscaled. Of an even number of points: half as many complex ones, whose re are the
-- even points and im the odd ones, one behind the other: real points in order. Of an odd number, or few, all of them.
-- @param x the spectrum @param y a view of fft.real_elements @param pool scratch of the step
function fft.real_inverse(step, K, body, n, x, y, pool)
  local m = fft.inverse_points(n)
  local self = new(step, K, m, false, true)
  if m == n then return whole_inverse(self, body, n, x, y, pool) end
  local point = 2 * self.W
  local z = pool:take("halves", m * point)
  body:call(K:fft { part = "halves_zero", points = 2 }, x, x + m * point, z)
  if m > 1 then
    body:call(K:fft { part = "halves", points = 2, count = m // 2 }, x + point, x + (m - 1) * point, z + point,
      z + (m - 1) * point, part(self, "halves", turns(n, 2, 1, m // 2 + 1)))
  end
  complex(self, body, 1, m, z, point, y)
end

fft.plan = plan

return fft
