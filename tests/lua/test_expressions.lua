-- SPDX-License-Identifier: Apache-2.0
-- Expressions: what one definition gives: C of scalars and vectors, costs, and the steps that the naive kernels
-- compute in every class, whose error doubles measure.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local expressions = require "graph.expressions"
local abs, erfc, exp, fma = expressions.abs, expressions.erfc, expressions.exp, expressions.fma
local max, min, select_of = expressions.max, expressions.min, expressions.select

local hard_swish = expressions.of(function(x) return x * min(max(x + 3, 0), 6) * (1 / 6) end)
local silu = expressions.of(function(x)
  local e = exp(-abs(x))
  return x * select_of(x, 0, e, 1) / (1 + e)
end)

describe("an expression", function()
  it("is its steps in order, a value that is used twice once", function()
    local steps = expressions.of(function(x)
      local y = x + 1
      return y * y
    end)
    local list = {}
    for i, step in ipairs(steps) do list[i] = { step.operation, step.constant, table.unpack(step) } end
    equal(list, { { "x" }, { "constant", 1 }, { "add", nil, 1, 2 }, { "mul", nil, 3, 3 } })
  end)

  it("is C of scalars and of vectors, in its own order of operations", function()
    equal(hard_swish:scalar "msa_f", [[
static inline float msa_f(float x)
{
    return (x * msa_min(msa_max(x + 3.0f, 0.0f), 6.0f)) * 0.166666672f;
}
]])
    equal(hard_swish:vector "msa_vf", [[
static inline msa_vec msa_vf(msa_vec x)
{
    const msa_vec v1 = msa_vmin(msa_vmax(msa_vadd(x, msa_splat(3.0f)), msa_splat(0.0f)), msa_splat(6.0f));
    return msa_vmul(msa_vmul(x, v1), msa_splat(0.166666672f));
}
]])
    equal(silu:scalar "msa_silu", [[
static inline float msa_silu(float x)
{
    const float v1 = msa_exp(-msa_from_bits(msa_bits(x) & 0x7fffffffu));
    return (x * msa_select(x, 0.0f, v1, 1.0f)) / (1.0f + v1);
}
]])
    equal(expressions.of(function(x) return -(x - (1 - x)) * -0.5 end):scalar "msa_g", [[
static inline float msa_g(float x)
{
    return (-(x - (1.0f - x))) * (-0.5f);
}
]])
  end)

  it("has lines of at most 120 characters, however long it is", function()
    local long = expressions.of(function(x)
      local y = x
      for i = 1, 40 do y = fma(y, max(x, i / 7), min(abs(x * y), y + i)) end
      return y
    end)
    for line in (long:scalar "msa_long" .. long:vector "msa_vlong"):gmatch "[^\n]+" do assert(#line <= 120, line) end
  end)

  it("costs what its operations cost", function()
    equal(hard_swish:cost(), { instructions = 5, arithmetic = 2, divisions = 0, code = 5, registers = 5 })
    equal(silu:cost(), { instructions = 17, arithmetic = 10, divisions = 1, code = 22, registers = 15 })
    equal(expressions.of(function(x) return max(x, 0) end):cost(),
      { instructions = 1, arithmetic = 0, divisions = 0, code = 1, registers = 1 })
  end)

  it("says which of its operations doubles alone have", function()
    equal(silu:of_float64(), {})
    equal(expressions.of(function(x) return x * erfc(-x) end):of_float64(), { "erfc" })
  end)

  it("is refused where it is none", function()
    local function refused(body, ...)
      local ok, problem = pcall(expressions.of, body)
      assert(not ok)
      spec.holds(problem, ...)
    end
    refused(function() return 1 end, "expected an expression, found number")
    refused(function(x) return x end, "found x itself")
    refused(function(x) return max(x) end, "max: expected 2 operands, found 1")
    refused(function(x) return x + "1" end, "add: expected numbers and expressions, found string")
    refused(function(x) return x * 1e39 end, "constants that are float32, found 1e+39")
    refused(function(x) return x * (0 / 0) end, "constants that are float32")
  end)
end)

describe("activations", function()
  local activations = require "graph.activations"

  it("cost what plans were made with", function()
    local gelu, relu = activations.entries.gelu, activations.entries.relu
    local function cost(e) return { e.arithmetic, e.divisions, e.instructions, e.code, e.in_registers } end
    equal(cost(gelu), { 22, 1, 28, 33, false })
    equal(cost(relu), { 0, 0, 1, 1, true })
  end)
end)

local reference = spec.host "msagen.reference"
if not reference then return end
local tensor = require "msagen.tensor"

describe("the naive kernels", function()
  local double = reference.of "float64"
  local function value(R, steps, x) return R.evaluate(steps, tensor.from({ x }, { 1, 1 })):get(0, 0) end

  it("compute every operation as Lua does, in double", function()
    for _, x in ipairs { -7.25, -1, -0.0, 0.0, 0.3, 2, 700 } do
      local steps = expressions.of(function(x_of)
        return fma(x_of, 3, 1 / (abs(x_of) + 1)) - select_of(x_of, 0, max(x_of, -2), min(x_of, 5)) * 0.1
          + exp(-abs(x_of)) + -x_of
      end)
      local f32 = string.unpack("<f", string.pack("<f", x))
      local expected = (f32 * 3 + 1 / (math.abs(f32) + 1)) - (f32 < 0 and math.max(f32, -2) or math.min(f32, 5)) * 0.1
        + math.exp(-math.abs(f32)) + -f32
      local found = value(double, steps, x)
      assert(math.abs(found - expected) <= 1e-15 * math.max(1, math.abs(expected)),
        ("%.17g %.17g"):format(found, expected))
    end
    local one = value(double, expressions.of(function(x) return erfc(x) end), 0.5)
    assert(math.abs(one - 0.4795001221869535) < 1e-15, one)
  end)

  it("round each step in the classes of float32, and fma once or twice", function()
    local x = 1 + 0x1p-12
    local steps = expressions.of(function(x_of) return fma(x_of, x_of, -1) end)
    equal(value(reference.of "f32-fma-1", steps, x), 0x1p-11 + 0x1p-24)
    equal(value(reference.of "f32-muladd-1", steps, x), 0x1p-11)
    equal(value(double, steps, x), 0x1p-11 + 0x1p-24)
  end)

  it("clear the sign of zero and NaN, and take the second of equals", function()
    local R = reference.of "f32-fma-1"
    local function bytes(steps, x) return R.evaluate(steps, tensor.from({ x }, { 1, 1 })):tobytes() end
    local function of(body) return expressions.of(body) end
    equal(bytes(of(function(x) return abs(x) end), -0.0), "\0\0\0\0")
    equal(bytes(of(function(x) return abs(x) end), 0 / 0):byte(4), 0x7f)
    equal(bytes(of(function(x) return max(x, 0) end), -0.0), "\0\0\0\0")
    equal(bytes(of(function(x) return min(x, -0.0) end), 0.0), "\0\0\0\128")
    equal(bytes(of(function(x) return -x end), 0.0), "\0\0\0\128")
  end)

  it("refuse what is no step, and what the class has not", function()
    local R, x = reference.of "f32-fma-1", tensor.from({ 1 }, { 1, 1 })
    local function refused(steps, what)
      local ok, problem = pcall(R.evaluate, steps, x)
      assert(not ok)
      spec.holds(problem, what)
    end
    refused({}, "1 to 1024 steps expected")
    refused({ { operation = "x" }, { operation = "add", 1, 2 } }, "steps before a step expected")
    refused({ { operation = "sin", 1 } }, "invalid option 'sin'")
    refused(expressions.of(function(y) return erfc(y) end), "erfc: is float64's alone")
    refuses(function() reference.of "float32" end, "expected f32-fma-1, int8-dyn-1, ",
      "or float64, found float32")
  end)

  it("compute GELU near to the formula with erfc", function()
    local activations, count = require "graph.activations", 200000
    -- Beyond 12 there is nothing to see.
    local x = reference.pattern(7, 1, count):scale(12)
    local truth, places = activations.run(double, "gelu", x):totable(), x:totable()
    for _, class in ipairs { "f32-fma-1", "f32-muladd-1" } do
      local R = reference.of(class)
      local found = activations.run(R, "gelu", x):totable()
      for i = 1, count do
        -- The exponent -x^2/2 is rounded to float before exp: its error grows with it.
        local relative = 6e-7 + 0x1p-24 * places[i] * places[i] / 2
        if not (math.abs(found[i] - truth[i]) <= relative * math.abs(truth[i]) + 1e-26) then
          error(("%s: gelu(%a): expected %a, found %a"):format(class, places[i], truth[i], found[i]))
        end
      end
      equal(activations.run(R, "gelu", tensor.from({ 0, 20, -20 }, { 1, 3 })):totable(), { 0.0, 20.0, 0.0 })
    end
  end)
end)
