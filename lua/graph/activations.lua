-- SPDX-License-Identifier: Apache-2.0
--- The activations, an entry each; whoever emits, counts, costs or computes one reads it here, and refuses a name that
-- has no entry. All that an entry says:
--   formula  what it is, for a comment of generated code
--   value    its definition to the bit, an expression (lua/graph/expressions.lua)
--   ideal    what `value` comes near to, where that is not the same formula without rounding: what float64 computes
--   host     true where networks have it that msagen runs itself: the interpreter computes it, and builds lack it
--   gradient their derivative, an expression likewise; without it the activation is none of a network that trains
--   ideal_gradient  what `gradient` comes near to, as ideal
-- The rest follows. Fields that it gets here:
--   name, vector (function of msa_simd.h), scalar (the same of a float, where vectors flush subnormals)
--   in_registers whether a tile of a product does it before it stores: those that need more registers take the stored
-- result once more
--   exact        what asks the scalar tile for it, where vectors flush subnormals: its place among those in registers
--   counted      what it is called among counted operations
--   arithmetic   multiplications and multiply-adds in a product's epilogue, a vector; divisions: likewise
--   instructions of an element-wise pass, beside load, store and divisions, a vector
--   code         instructions of its inline function
local closed = require "support.closed"
local expressions = require "graph.expressions"

local abs, erfc, exp, fma, max, select = expressions.abs, expressions.erfc, expressions.exp, expressions.fma,
  expressions.max, expressions.select

local activations = {}

activations.relu = { formula = "max(x, 0)", value = function(x) return max(x, 0) end,
  gradient = function(x) return select(0, x, 1, 0) end }

-- P, of which the highest power comes first; it has no constant term. Relative error of h 5.8e-8 for a <= 11; beyond,
-- exp is +0.
local GELU = { 0.03734023496508598, -0.16420239210128784, 0.2185511589050293, -0.06507670134305954,
  0.13470374047756195, 0.09800738841295242, 0.1210685521364212, 0.11960802972316742 }
local DENSITY = 1 / math.sqrt(2 * math.pi)

-- exp(-a^2 / 2) and h of a.
local function gelu_tail(a)
  local t = 1 / fma(a, 0.3, 1)
  local p = GELU[1]
  for i = 2, #GELU do p = fma(p, t, GELU[i]) end
  local e = exp(a * a * -0.5)
  return e, e * (p * t)
end

activations.gelu = {
  formula = "max(x, 0) - a h(a), a = |x|, h(a) = erfc(a / sqrt 2) / 2 = exp(-a^2 / 2) P(t), t = 1 / (1 + 0.3 a)",
  value = function(x)
    local a = abs(x)
    local _, h = gelu_tail(a)
    return fma(-a, h, max(x, 0))
  end,
  ideal = function(x) return x * 0.5 * erfc(x * -math.sqrt(0.5)) end,
  -- The share below x, plus x times the density there.
  gradient = function(x)
    local e, h = gelu_tail(abs(x))
    return fma(x * DENSITY, e, select(x, 0, h, 1 - h))
  end,
  ideal_gradient = function(x) return 0.5 * erfc(x * -math.sqrt(0.5)) + x * DENSITY * exp(x * x * -0.5) end,
}

activations.sigmoid = {
  formula = "1 / (1 + exp(-x))",
  value = function(x)
    local e = exp(-abs(x))
    return select(x, 0, e, 1) / (1 + e)
  end,
  gradient = function(x)
    local e = exp(-abs(x))
    local r = 1 / (1 + e)
    return e * r * r
  end,
}

activations.quick_gelu = {
  formula = "x / (1 + exp(-1.702 x))",
  host = true, -- of CLIP's text encoder
  value = function(x)
    local e = exp(abs(x) * -1.702)
    return x * select(x, 0, e, 1) / (1 + e)
  end,
  gradient = function(x)
    local e = exp(abs(x) * -1.702)
    local r = 1 / (1 + e)
    return fma(x * 1.702, e * r * r, select(x, 0, e, 1) * r)
  end,
}

-- More vectors than these beside the sums are not free at a tile's end.
local FREE = 2

-- Function names of templates/simd.h and runtime/msa_arith.h, kinds of kernels and counted operations.
local TAKEN = { "abs", "add", "add2", "add3", "addscaled", "bits", "broadcast", "clear_flushed", "cos", "div", "exp",
  "exponent", "flushed", "fma", "high16", "hold", "load", "log2_near", "low16", "mantissa", "max", "min", "mul", "none",
  "reduce", "scale", "scaled", "select", "sin", "splat", "sqrt",
  "store", "sub", "sum", "times", "vec", "zero_below", "zip_high", "zip_low" }

local names, known = { "none" }, {}
for name, entry in pairs(activations) do
  for _, taken in ipairs(TAKEN) do assert(name ~= taken, name .. ": expected a name that nothing else has") end
  assert(name:find "^%l[%l%d_]*$", name .. ": expected lower-case letters, digits and _")
  entry.name, entry.counted = name, name
  entry.vector, entry.scalar = "msa_v" .. name, "msa_" .. name
  entry.steps = expressions.of(entry.value)
  entry.ideal_steps = entry.ideal and expressions.of(entry.ideal) or entry.steps
  if entry.gradient then
    entry.gradient_steps = expressions.of(entry.gradient)
    entry.ideal_gradient_steps = entry.ideal_gradient and expressions.of(entry.ideal_gradient) or entry.gradient_steps
  end
  for _, what in ipairs { "value", entry.gradient and "gradient" } do
    local alone = (what == "value" and entry.steps or entry.gradient_steps):of_float64()
    assert(#alone == 0, ("%s: %s: expected operations of every class, found %s"):format(name, what, alone[1]))
  end
  local cost = entry.steps:cost()
  entry.arithmetic, entry.divisions, entry.instructions = cost.arithmetic, cost.divisions, cost.instructions
  entry.code, entry.in_registers = cost.code, cost.registers <= FREE
  known[#known + 1] = name
  if not entry.host then names[#names + 1] = name end
end
table.sort(known)
activations.none = { name = "none", in_registers = true, arithmetic = 0, divisions = 0, instructions = 0, code = 0 }
table.sort(names)

local computed, in_registers = {}, {}
for _, name in ipairs(names) do
  local entry = activations[name]
  if name ~= "none" then
    computed[#computed + 1] = name
    if entry.in_registers then
      in_registers[#in_registers + 1] = entry
      entry.exact = #in_registers
    end
  end
end

return {
  names = names,       -- "none" among them
  computed = computed, -- those that compute something
  known = known,       -- these, and those of the host alone
  in_registers = in_registers, -- entries of those of them that a tile does before it stores
  entries = activations, -- of all
  --- The entry of a name; a refusal that begins with `where` for what is none.
  of = function(name, where) return activations[closed.member(name, names, where)] end,
  --- The activation of a matrix, by the naive kernels R of a class.
  run = function(R, name, x)
    local entry = activations[name]
    return R.evaluate(R.arithmetic == "float64" and entry.ideal_steps or entry.steps, x)
  end,
  --- Its derivative at each element of a matrix, likewise.
  run_gradient = function(R, name, x)
    local entry = activations[name]
    return R.evaluate(R.arithmetic == "float64" and entry.ideal_gradient_steps or entry.gradient_steps, x)
  end,
}
