-- SPDX-License-Identifier: Apache-2.0
--- Transforms of a few points as the bodies of kernels (lua/kernels/kinds/fft.lua): what is loaded, computed, stored.
-- A complex point is two vectors one behind the other, re and im, of an inverse transform im and re; a real point is
-- one. W is the lanes of a vector.

local codelets = require "signal.codelets"
local expressions = require "signal.expressions"
local transform = require "signal.transform"

local points = {}

-- A body that grows: loads by name, outputs with where they are stored.
local Body = {}
Body.__index = Body

local function new(W, inverse)
  return setmetatable({ g = expressions.new(), loads = {}, outputs = {}, W = W, inverse = inverse or false, count = 0 },
    Body)
end

function Body:load(c)
  self.count = self.count + 1
  local name = "x" .. self.count
  self.loads[name] = c
  return self.g:load(name)
end

-- Of a complex point the places of re and im behind it.
function Body:places()
  if self.inverse then return ("%d"):format(self.W), "0" end
  return "0", ("%d"):format(self.W)
end

function Body:complex(place)
  local re, im = self:places()
  return { self:load(("msa_load(%s + %s)"):format(place, re)), self:load(("msa_load(%s + %s)"):format(place, im)) }
end

function Body:real(place) return self:load(("msa_load(%s)"):format(place)) end

function Body:put(node, place) self.outputs[#self.outputs + 1] = { node, ("msa_store(%s, @);"):format(place) } end

function Body:put_complex(z, place)
  local re, im = self:places()
  self:put(z[1], ("%s + %s"):format(place, re))
  self:put(z[2], ("%s + %s"):format(place, im))
end

-- x (c - i s) of a turn that a table has.
function Body:turned(x, i)
  local c, s = self:load(("msa_splat(w[%d])"):format(2 * i)), self:load(("msa_splat(w[%d])"):format(2 * i + 1))
  local g = self.g
  return { g:add(g:product(c, x[1]), g:product(s, x[2])), g:sub(g:product(c, x[2]), g:product(s, x[1])) }
end

local function at(base, i, step) return i == 0 and base or ("%s + %d * %s"):format(base, i, step) end

local parts = {}

-- n complex points a distance apart, each but the first turned.
function Body:turned_points(base, step, n)
  local x = {}
  for j = 0, n - 1 do
    local one = self:complex(at(base, j, step))
    x[1 + j] = j == 0 and one or self:turned(one, j - 1)
  end
  return x
end

--- Points `is` apart to as many one behind the other. @param some of them are read, the others are 0
function parts.first(b, n, some)
  local x = {}
  for j = 0, n - 1 do
    x[1 + j] = j < some and b:complex(at("x", j, "is")) or { b.g:number(0), b.g:number(0) }
  end
  for k, z in ipairs(transform.of(b.g, x)) do b:put_complex(z, ("y + %d"):format((k - 1) * 2 * b.W)) end
end

--- Points `s` apart, turned, in their places.
function parts.turned(b, n)
  for k, z in ipairs(transform.of(b.g, b:turned_points("y", "s", n))) do b:put_complex(z, at("y", k - 1, "s")) end
end

--- Real points `is` apart to the n // 2 + 1 that tell the others.
function parts.real_first(b, n)
  local x = {}
  for j = 0, n - 1 do x[1 + j] = { b:real(at("x", j, "is")), b.g:number(0) } end
  local X = transform.of(b.g, x)
  for k = 0, n // 2 do b:put_complex(X[1 + k], ("y + %d"):format(k * 2 * b.W)) end
end

--- Of n spectra of real points `s` apart the first places, which are real, to the places m, `t` apart, of theirs.
function parts.real_zero(b, n)
  local x = {}
  for j = 0, n - 1 do x[1 + j] = { b:real(at("x", j, "s")), b.g:number(0) } end
  local X = transform.of(b.g, x)
  for q = 0, n // 2 do b:put_complex(X[1 + q], at("y", q, "t")) end
end

--- The last places of spectra of an even number of points, which are real, too.
function parts.real_middle(b, n)
  local x = {}
  for j = 0, n - 1 do
    local one, c, s = b:real(at("x", j, "s")), transform.circle(j, 2 * n)
    x[1 + j] = { b.g:times(c, one), b.g:negative(b.g:times(s, one)) }
  end
  local X = transform.of(b.g, x)
  for q = 0, (n - 1) // 2 do
    local z = X[1 + q]
    if 2 * q + 1 == n then z = { z[1], b.g:number(0) } end -- half of all points
    b:put_complex(z, at("y", q, "t"))
  end
end

--- The other places: n // 2 rounded up results are stored from y on, the others, as their conjugates, from z on.
function parts.real_turned(b, n)
  local X = transform.of(b.g, b:turned_points("x", "s", n))
  for q = 0, n - 1 do
    if q < (n + 1) // 2 then b:put_complex(X[1 + q], at("y", q, "t"))
    else b:put_complex({ X[1 + q][1], b.g:negative(X[1 + q][2]) }, at("z", n - 1 - q, "t")) end
  end
end

--- Of the spectrum of 2 m real points places 0 (x) and m (y), which are real, to place 0 (z) of what halves makes.
function parts.halves_zero(b)
  local x, y = b:real "x", b:real "y"
  b:put_complex({ b.g:add(x, y), b.g:sub(x, y) }, "z")
end

--- Of the spectrum of 2 m real points, places k (x) and m - k (y), those of m complex points whose re are the even
-- points and im the odd ones, to z and v.
function parts.halves(b)
  local g, x, y = b.g, b:complex "x", b:complex "y"
  local a = { g:add(x[1], y[1]), g:sub(x[2], y[2]) }
  local d = { g:sub(x[1], y[1]), g:add(x[2], y[2]) }
  local c, s = b:load "msa_splat(w[0])", b:load "msa_splat(w[1])"
  local t = { g:sub(g:product(c, d[1]), g:product(s, d[2])), g:add(g:product(c, d[2]), g:product(s, d[1])) }
  b:put_complex({ g:sub(a[1], t[2]), g:add(a[2], t[1]) }, "z")
  b:put_complex({ g:add(a[1], t[2]), g:sub(t[1], a[2]) }, "v")
end

--- A place of a spectrum to that of its conjugate.
function parts.mirror(b)
  local x = b:complex "x"
  b:put_complex({ x[1], b.g:negative(x[2]) }, "z")
end

--- re of complex points, as real ones.
function parts.re(b) b:put(b:complex("x")[1], "z") end

points.parts = parts

--- A body. @param part of parts @param n points @param W lanes @param inverse the inverse transform's @param some of
-- part first, how many points are read, all unless said
-- @return lines of C, counts of lua/signal/codelets.lua
function points.body(part, n, W, inverse, some)
  local b = new(W, inverse)
  parts[part](b, n, some or n)
  return codelets.lines(b.g, b.outputs, b.loads)
end

return points
