-- SPDX-License-Identifier: Apache-2.0
-- Transforms of few points as expressions, against their definition; how sizes are parted; what the verb refuses.

local spec = require "spec"
local codelets = require "signal.codelets"
local expressions = require "signal.expressions"
local plan = require "signal.plan"
local points = require "signal.points"
local transform = require "signal.transform"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses

-- Values of nodes where loads have those of a table.
local function evaluated(graph, outputs, values)
  local of = {}
  local does = {
    load = function(x) return values[x.a] end, number = function(x) return x.a end,
    add = function(x) return of[x.a] + of[x.b] end, sub = function(x) return of[x.a] - of[x.b] end,
    times = function(x) return x.a * of[x.b] end, product = function(x) return of[x.a] * of[x.b] end,
    negative = function(x) return -of[x.a] end,
  }
  for _, x in ipairs((graph:needed(outputs))) do of[x] = does[x.op](x) end
  return of
end

-- The furthest of a transform of n points from its definition.
local function furthest(n)
  local g, x, values, outputs = expressions.new(), {}, {}, {}
  for j = 0, n - 1 do
    x[1 + j] = { g:load("r" .. j), g:load("i" .. j) }
    values["r" .. j], values["i" .. j] = math.sin(1.3 * j * j + 1), math.cos(2.7 * j + 0.2)
  end
  local X = transform.of(g, x)
  for _, z in ipairs(X) do
    outputs[#outputs + 1], outputs[#outputs + 2] = z[1], z[2]
  end
  local of, worst = evaluated(g, outputs, values), 0
  for k = 0, n - 1 do
    local re, im = 0, 0
    for j = 0, n - 1 do
      local angle = -2 * math.pi * (j * k % n) / n
      local c, s, a, b = math.cos(angle), math.sin(angle), values["r" .. j], values["i" .. j]
      re, im = re + a * c - b * s, im + a * s + b * c
    end
    worst = math.max(worst, math.abs(of[X[1 + k][1]] - re), math.abs(of[X[1 + k][2]] - im))
  end
  return worst
end

describe("transforms of few points", function()
  it("are what their definition says", function()
    for n = 1, 64 do
      local worst = furthest(n)
      assert(worst < 1e-14 * n, ("%d points: %g"):format(n, worst))
    end
  end)

  it("of powers of two take as many additions as the split radix", function()
    for m = 1, 6 do
      local n = 1 << m
      local _, counts = points.body("first", n, 1, false)
      -- Yavne's 4 n m - 6 n + 8 less its products
      local products = { 0, 0, 4, 24, 84, 248 }
      equal({ n, counts.adds }, { n, 4 * n * m - 6 * n + 8 - products[m] })
      equal({ n, counts.steps }, { n, counts.adds }) -- products fuse
    end
  end)

  it("have cosines and sines that are symmetric", function()
    for _, n in ipairs { 3, 5, 7, 12, 16, 100, 945 } do
      for k = 0, n do
        local c, s = transform.circle(k, n)
        local angle = 2 * math.pi * k / n
        assert(math.abs(c - math.cos(angle)) < 2e-15 and math.abs(s - math.sin(angle)) < 2e-15)
        local d, t = transform.circle(n - k, n)
        equal({ d, t + 0.0 }, { c, -s + 0.0 })
      end
    end
  end)
end)

describe("expressions", function()
  it("are simplified as they are made", function()
    local g = expressions.new()
    local x, y, zero = g:load "x", g:load "y", g:number(0)
    equal(g:add(x, zero), x)
    equal(g:sub(zero, x), g:negative(x))
    equal(g:add(x, y), g:add(y, x))
    equal(g:add(x, g:negative(y)), g:sub(x, y))
    equal(g:sub(y, x), g:negative(g:sub(x, y)))
    equal(g:negative(g:negative(x)), x)
    equal(g:times(-2, x), g:negative(g:times(2, x)))
    equal(g:times(0, x), zero)
    equal(g:sub(x, x), zero)
  end)

  it("are printed with products fused where all who take them can", function()
    local g = expressions.new()
    local x, y = g:load "x", g:load "y"
    local p = g:times(0.5, y)
    local lines = codelets.lines(g, { { g:add(x, p), "a = @;" }, { g:sub(x, p), "b = @;" } }, { x = "X", y = "Y" })
    local text = table.concat(lines, "\n")
    assert(text:find("msa_vfma(msa_splat(0x1p-1f)", 1, true) and text:find("msa_vfnma(msa_splat(0x1p-1f)", 1, true))
    assert(not text:find "msa_vmul")
  end)
end)

describe("a plan", function()
  it("has the size as the product of its passes", function()
    for _, real in ipairs { false, true } do
      for n = 1, 2048 do
        if plan.possible(n) then
          local p, product = plan.of(n, real), 1
          product = p.first
          for _, r in ipairs(p.turns) do product = product * r end
          equal(product, n)
        end
      end
    end
  end)

  it("refuses what has a large prime factor, and says the next size", function()
    equal({ plan.next(3121), plan.possible(592), plan.possible(67) }, { 3125, true, false })
    refuses(function() plan.of(67, false) end, "prime factors are at most 61, found 67", "the next such is 68")
    refuses(function() plan.of(1 << 21, false) end, "at most 1048576 points")
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end
local npy, tensor = require "msagen.npy", require "msagen.tensor"

describe("msagen fft", function()
  local program = arg[0]:match("^(.*)/[^/]*$") .. "/../../gen/msagen"
  program = os.getenv "MSAGEN" or program
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-test-fft-")
  sys.cleanup(work)
  local input = work .. "/in.npy"
  npy.write(input, tensor.zeros({ 3, 8 }, "f32"))

  local function refused(expected, ...)
    local command = { program, "fft", ... }
    command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
    local code, said = sys.spawn(command)
    assert(code ~= 0 and said:find(expected, 1, true), said)
    equal(select(2, said:gsub("\n", "")), 1)
  end

  it("refuses in one line what it cannot do", function()
    local out = work .. "/out.npy"
    refused("--kind: expected r2c or c2c, found none", "8", "--input", input, "-o", out)
    refused("--input: expected FILE.npy, found none", "8", "--kind", "r2c", "-o", out)
    refused("-o: expected FILE.npy", "8", "--kind", "r2c", "--input", input)
    refused("expected lines of 16, found 8", "16", "--kind", "r2c", "--input", input, "-o", out)
    refused("expected a last dimension of 2, re and im, found 8", "8", "--kind", "c2c", "--input", input, "-o", out)
    refused("prime factors are at most 61", "67", "--kind", "r2c", "--input", input, "-o", out)
    npy.write(work .. "/bytes.npy", tensor.zeros({ 8 }, "u8"))
    refused("expected float32, found u8", "8", "--kind", "r2c", "--input", work .. "/bytes.npy", "-o", out)
    npy.write(work .. "/none.npy", tensor.zeros({ 0, 8 }, "f32"))
    refused("expected a line at least, found none", "8", "--kind", "r2c", "--input", work .. "/none.npy", "-o", out)
    assert(not sys.exists(out), "something was written")
  end)
end)
