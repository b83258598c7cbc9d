-- SPDX-License-Identifier: Apache-2.0
--- Discrete Fourier transforms of a few points as expressions: X[k] = sum of x[j] exp(-2 pi i j k / n). Even powers of
-- two are split by the conjugate-pair split radix (Kamar and Elcherif 1989; Johnson and Frigo 2007), coprime factors by
-- Good's prime factors, other products by Cooley and Tukey, primes by sums and differences of x[j] and x[n - j].
-- A complex number is { re, im }, two nodes of lua/signal/expressions.lua.

local transform = {}

-- cos and sin up to pi / 4 by their series: the same bits on every machine, which a library's are not.
local function series(x)
  local c, s, square = 0.0, 0.0, x * x
  for n = 20, 2, -2 do
    c = (1 - c) * square / (n * (n - 1))
    s = (1 - s) * square / (n * (n + 1))
  end
  return 1 - c, (1 - s) * x
end

--- cos and sin of 2 pi k / n, exact where they are simple.
local function circle(k, n)
  k = k % n
  if 8 * k % n == 0 then
    local half = math.sqrt(0.5)
    local c = { [0] = 1, half, 0, -half, -1, -half, 0, half }
    local s = { [0] = 0, half, 1, half, 0, -half, -1, -half }
    return c[8 * k // n], s[8 * k // n]
  end
  -- Within an eighth of the circle: symmetric places give the same numbers.
  if 2 * k > n then
    local c, s = circle(n - k, n)
    return c, -s
  elseif 4 * k > n then
    local c, s = circle(n - 2 * k, 2 * n)
    return -c, s
  elseif 8 * k > n then
    local c, s = circle(n - 4 * k, 4 * n)
    return s, c
  end
  return series(2 * math.pi * k / n)
end
transform.circle = circle

local function add(g, x, y) return { g:add(x[1], y[1]), g:add(x[2], y[2]) } end
local function sub(g, x, y) return { g:sub(x[1], y[1]), g:sub(x[2], y[2]) } end
-- -i x
local function turned_back(g, x) return { x[2], g:negative(x[1]) } end

-- x exp(-2 pi i k / n)
local function rotated(g, x, k, n)
  local c, s = circle(k, n)
  if math.abs(c) == math.abs(s) then -- an eighth: one product each
    local sum, difference = g:add(x[1], x[2]), g:sub(x[2], x[1])
    local a, b = g:times(math.abs(c), sum), g:times(math.abs(c), difference)
    if c > 0 and s > 0 then return { a, b } end
    if c < 0 and s > 0 then return { b, g:negative(a) } end
    if c < 0 then return { g:negative(a), g:negative(b) } end
    return { g:negative(b), a }
  end
  return { g:add(g:times(c, x[1]), g:times(s, x[2])), g:sub(g:times(c, x[2]), g:times(s, x[1])) }
end

local of

-- Sums and differences of x[j] and x[n - j], n odd.
local function prime(g, x)
  local n, half, sums, differences, out = #x, #x // 2, {}, {}, {}
  local all = x[1]
  for j = 1, half do
    sums[j], differences[j] = add(g, x[1 + j], x[1 + n - j]), sub(g, x[1 + j], x[1 + n - j])
    all = add(g, all, sums[j])
  end
  out[1] = all
  for k = 1, half do
    local even, odd = x[1], nil
    for j = 1, half do
      local c, s = circle(j * k, n)
      even = { g:add(even[1], g:times(c, sums[j][1])), g:add(even[2], g:times(c, sums[j][2])) }
      local re, im = g:times(s, differences[j][1]), g:times(s, differences[j][2])
      odd = odd and { g:add(odd[1], re), g:add(odd[2], im) } or { re, im }
    end
    local side = turned_back(g, odd)
    out[1 + k], out[1 + n - k] = add(g, even, side), sub(g, even, side)
  end
  return out
end

local function scaled(g, c, x) return { g:times(c, x[1]), g:times(c, x[2]) } end

-- z exp(-i w) and y exp(i w) for w = 2 pi k / n below a quarter, both over the larger of cos w and sin w, which is
-- given as a scale: so turns are steps that fuse (Linzer and Feig 1993), and the scale fuses with the sums that follow.
local function turned_pair(g, z, y, k, n)
  local c, s = circle(k, n)
  if c >= s then
    local t = s / c
    return { g:add(z[1], g:times(t, z[2])), g:sub(z[2], g:times(t, z[1])) },
      { g:sub(y[1], g:times(t, y[2])), g:add(y[2], g:times(t, y[1])) }, c
  end
  local t = c / s
  return { g:add(z[2], g:times(t, z[1])), g:sub(g:times(t, z[2]), z[1]) },
    { g:sub(g:times(t, y[1]), y[2]), g:add(y[1], g:times(t, y[2])) }, s
end

-- Even places; places 4 j + 1 and 4 j - 1.
local function split_radix(g, x)
  local n, even, first, last, out = #x, {}, {}, {}, {}
  for j = 0, n // 2 - 1 do even[1 + j] = x[1 + 2 * j] end
  for j = 0, n // 4 - 1 do first[1 + j], last[1 + j] = x[1 + (4 * j + 1) % n], x[1 + (4 * j - 1) % n] end
  local U, Z, Y = of(g, even), of(g, first), of(g, last)
  for k = 0, n // 4 - 1 do
    local z, y, scale = turned_pair(g, Z[1 + k], Y[1 + k], k, n)
    local sum, difference = add(g, z, y), turned_back(g, sub(g, z, y))
    sum, difference = scaled(g, scale, sum), scaled(g, scale, difference)
    out[1 + k], out[1 + k + n // 2] = add(g, U[1 + k], sum), sub(g, U[1 + k], sum)
    local quarter = U[1 + k + n // 4]
    out[1 + k + n // 4], out[1 + k + 3 * n // 4] = add(g, quarter, difference), sub(g, quarter, difference)
  end
  return out
end

-- n = a b: b transforms of a points, then a of b, with turns between.
local function cooley_tukey(g, x, a)
  local n, b, rows, out = #x, #x // a, {}, {}
  for j = 0, a - 1 do
    local row = {}
    for i = 0, b - 1 do row[1 + i] = x[1 + i * a + j] end
    rows[j] = of(g, row)
  end
  for k = 0, b - 1 do
    local column = {}
    for j = 0, a - 1 do column[1 + j] = rotated(g, rows[j][1 + k], j * k, n) end
    for q, value in ipairs(of(g, column)) do out[1 + k + (q - 1) * b] = value end
  end
  return out
end

-- n = a b, coprime: no turns.
local function prime_factors(g, x, a)
  local n, b, rows, out = #x, #x // a, {}, {}
  for i = 0, a - 1 do
    local row = {}
    for j = 0, b - 1 do row[1 + j] = x[1 + (i * b + j * a) % n] end
    rows[i] = of(g, row)
  end
  local u, v = 0, 0 -- b u = 1 of a, a v = 1 of b
  for t = 1, a do if b * t % a == 1 % a then u = t end end
  for t = 1, b do if a * t % b == 1 % b then v = t end end
  for k = 0, b - 1 do
    local column = {}
    for i = 0, a - 1 do column[1 + i] = rows[i][1 + k] end
    for q, value in ipairs(of(g, column)) do out[1 + ((q - 1) * b * u + k * a * v) % n] = value end
  end
  return out
end

-- The largest power of its smallest prime that divides n, and that prime.
local function smallest(n)
  local p = 2
  while n % p ~= 0 do p = p + 1 end
  local power = p
  while n % (power * p) == 0 do power = power * p end
  return power, p
end

function of(g, x)
  local n = #x
  if n == 1 then return x end
  if n == 2 then return { add(g, x[1], x[2]), sub(g, x[1], x[2]) } end
  local power, p = smallest(n)
  if power < n then return prime_factors(g, x, power) end
  if p == 2 then return split_radix(g, x) end
  if p == n then return prime(g, x) end
  return cooley_tukey(g, x, p)
end

--- The transform of a list of complex numbers.
transform.of = of

return transform
