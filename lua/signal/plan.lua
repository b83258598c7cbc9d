-- SPDX-License-Identifier: Apache-2.0
--- How a transform of N points is made of passes of a few: of what factors, in which order. The size alone decides, so
-- that every board has the same bits.

local fail = require "support.fail"
local points = require "signal.points"

local plan = {}

local MOST_POINTS = 16 -- of a pass, but for primes
local MOST_PRIME = 61
local MOST = 1 << 20
-- What it costs a point, in instructions: to be loaded and stored; and for each point of turned passes above 8, whose
-- numbers the registers do not hold. Measured with AVX-512.
local MOVING, SPILLING = 5, 0.6

plan.MOST = MOST

local counted = {}
-- Instructions a point of a pass.
local function cost(part, n)
  local key = part .. n
  if not counted[key] then
    local _, counts = points.body(part, n, 1, false)
    local turned = part == "turned" or part == "real_turned"
    counted[key] = counts.steps / n + MOVING + (turned and math.max(0, n - 8) * SPILLING or 0)
  end
  return counted[key]
end

local function largest_prime(n)
  local p, largest = 2, 1
  while n > 1 do
    if n % p == 0 then n, largest = n // p, p else p = p + 1 end
  end
  return largest
end

--- Whether there is a plan for so many points.
function plan.possible(n) return n >= 1 and n <= MOST and largest_prime(n) <= MOST_PRIME end

--- The next larger size that there is a plan for.
function plan.next(n)
  while not plan.possible(n) do n = n + 1 end
  return n
end

local function check(n, what)
  if n > MOST then fail("%s: expected at most %d points, found %d", what, MOST, n) end
  if not plan.possible(n) then
    fail("%s: expected a size whose prime factors are at most %d, found %d, which has %d; the next such is %d: "
      .. "lines may be padded with zeros, which moves the seam where their ends meet", what, MOST_PRIME, n,
      largest_prime(n), plan.next(n))
  end
end

--- The passes of N points.
-- @param real whether the points are real @param what begins a message
-- @return { first = points of the first pass, turns = list of the points of the others, from the last pass inwards }
function plan.of(n, real, what)
  check(n, what or "fft")
  local kinds = real and { "real_first", "real_turned" } or { "first", "turned" }
  local best = {}
  local function divisor(d) return d <= MOST_POINTS or d == largest_prime(d) end
  local function of(m)
    if best[m] then return best[m] end
    local made = divisor(m) and { cost = cost(kinds[1], m), first = m, turns = {} } or { cost = math.huge }
    best[m] = made
    for d = 2, math.min(m - 1, MOST_PRIME) do
      if m % d == 0 and divisor(d) and plan.possible(m // d) then
        local inner = of(m // d)
        local all = inner.cost + cost(kinds[2], d)
        if all < made.cost then
          made.cost, made.first, made.turns = all, inner.first, { d, table.unpack(inner.turns) }
        end
      end
    end
    return made
  end
  return of(n)
end

--- What a line takes: { adds, products, steps = instructions, where a product and a sum that fuse are one }.
-- @param made what plan.of gave @param n its points @param real as there
function plan.counts(made, n, real)
  local sum = { adds = 0, products = 0, steps = 0 }
  local function add(part, points_of, times)
    if times == 0 then return end
    local _, counts = points.body(part, points_of, 1, false)
    for key, value in pairs(counts) do sum[key] = sum[key] + times * value end
  end
  add(real and "real_first" or "first", made.first, n // made.first)
  local m = made.first
  for i = #made.turns, 1, -1 do
    local r = made.turns[i]
    local blocks = n // (r * m)
    if real then
      add("real_zero", r, blocks)
      add("real_turned", r, blocks * ((m - 1) // 2))
      add("real_middle", r, m % 2 == 0 and blocks or 0)
    else
      add("turned", r, blocks * m)
    end
    m = m * r
  end
  return sum
end

return plan
