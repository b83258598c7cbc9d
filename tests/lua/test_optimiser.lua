-- SPDX-License-Identifier: Apache-2.0
-- The optimiser of training against its textbook form in Lua's numbers; and the tree by which a batch's gradients are
-- added, against its definition.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local optimisers, tensor = spec.host "msagen.optimiser", spec.host "msagen.tensor"
if not (optimisers and tensor) then return end
local CLASSES = { "f32-fma-1", "f32-muladd-1" }
local RULES = { { kind = "adam", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8 },
  { kind = "adam", lr = 1e-2, betas = { 0.5, 0.95 }, eps = 1e-4, decay = 0.1, clip = 0.5 },
  { kind = "adamw", lr = 1e-3, betas = { 0.9, 0.95 }, eps = 1e-8, decay = 0.05 },
  { kind = "adamw", lr = 8e-4, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, clip = 3 },
  { kind = "adamw", lr = 8e-4, betas = { 0.9, 0.999 }, eps = 1e-8, decay = 0.1, clip = 1e6 } }

local function noise(seed)
  local state = seed
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) / 2 ^ 30 - 1
  end
end

local function doubles(list) return tensor.in_double(function() return tensor.from(list, { #list }) end) end

-- ---- a step ----

-- Adam and AdamW as their papers and PyTorch's documents have them. @param state list of { value =, first =, second =,
-- decays = }, tables of numbers, which change
local function textbook(rule, t, state, gradients, scale)
  local squares = 0
  for _, g in ipairs(gradients) do
    for _, x in ipairs(g) do squares = squares + (x * scale) ^ 2 end
  end
  local norm = math.sqrt(squares)
  local shrink = rule.clip and math.min(1, rule.clip / (norm + 1e-6)) or 1
  for n, s in ipairs(state) do
    local decay = s.decays and rule.decay or 0
    for i, x in ipairs(gradients[n]) do
      local g = x * scale * shrink
      if rule.kind == "adam" then g = g + decay * s.value[i] else s.value[i] = s.value[i] * (1 - rule.lr * decay) end
      s.first[i] = rule.betas[1] * s.first[i] + (1 - rule.betas[1]) * g
      s.second[i] = rule.betas[2] * s.second[i] + (1 - rule.betas[2]) * g * g
      local root = math.sqrt(s.second[i]) / math.sqrt(1 - rule.betas[2] ^ t)
      s.value[i] = s.value[i] - rule.lr / (1 - rule.betas[1] ^ t) * s.first[i] / (root + rule.eps)
    end
  end
  return norm
end

local SIZES = { 1, 63, 64, 65, 200, 17 }

local function begin(seed)
  local next, state = noise(seed), {}
  for n, size in ipairs(SIZES) do
    local s = { value = {}, first = {}, second = {}, decays = n % 2 == 1 }
    for i = 1, size do s.value[i], s.first[i], s.second[i] = string.unpack("<f", string.pack("<f", next())), 0, 0 end
    state[n] = s
  end
  return state
end

local function some_gradients(next, state)
  local list = {}
  for n, s in ipairs(state) do
    list[n] = {}
    for i = 1, #s.value do list[n][i] = string.unpack("<f", string.pack("<f", next() * 2.0 ^ (n - 4))) end
  end
  return list
end

local function tensors_of(state)
  local list = {}
  for n, s in ipairs(state) do
    list[n] = { value = doubles(s.value), first = doubles(s.first), second = doubles(s.second), decays = s.decays }
  end
  return list
end

-- Ten steps by a class, from the textbook's state before each of them: largest distance of a value in units of lr.
local function ten_steps(class, rule, with)
  local state, next, worst, norms = begin(5), noise(6), 0, 0
  local list = tensors_of(state)
  for t = 1, 10 do
    local gradients = some_gradients(next, state)
    for n, g in ipairs(gradients) do list[n].gradient = doubles(g) end
    local made, norm = optimisers.of(class).update(rule, t - 1, list, with)
    local want = textbook(rule, t, state, gradients, with)
    norms = math.max(norms, math.abs(norm / want - 1))
    for n, s in ipairs(state) do
      for i, x in ipairs(made[n].value:totable()) do worst = math.max(worst, math.abs(x - s.value[i])) end
      made[n].decays = s.decays
    end
    list = made
  end
  return worst / rule.lr, norms
end

describe("a step of the optimiser", function()
  for n, rule in ipairs(RULES) do
    it(("of rule %d is the textbook's"):format(n), function()
      local worst, norms = ten_steps("float64", rule, 0.25)
      assert(worst < 1e-10 and norms < 1e-14, ("float64: %.3g %.3g"):format(worst, norms))
      for _, class in ipairs(CLASSES) do
        worst, norms = ten_steps(class, rule, 0.25)
        -- A parameter is near 1: ten roundings of it, in units of lr, and of the step.
        assert(worst < 10 * 2 ^ -24 / rule.lr + 1e-5, ("%s: %.3g of lr"):format(class, worst))
        assert(norms < 3e-7, ("%s: norm %.3g"):format(class, norms))
      end
    end)
  end

  it("does not depend on the order of elements, nor on how they are cut into tensors", function()
    local next, v, g = noise(9), {}, {}
    for i = 1, 300 do v[i], g[i] = next(), next() * 2.0 ^ (i % 30 - 20) end
    local order = {}
    for i = 1, 300 do order[i] = (i * 77) % 300 + 1 end
    local function pick(list, from, to)
      local made = {}
      for i = from, to do made[#made + 1] = list[order[i]] end
      return made
    end
    local function run(...)
      local list, cuts = {}, { ... }
      for k = 1, #cuts - 1 do
        local a, b = cuts[k] + 1, cuts[k + 1]
        local zeros = {}
        for i = 1, b - a + 1 do zeros[i] = 0 end
        list[k] = { value = doubles(pick(v, a, b)), gradient = doubles(pick(g, a, b)), first = doubles(zeros),
          second = doubles(zeros), decays = true }
      end
      local made, norm = optimisers.of("f32-fma-1").update(RULES[2], 0, list)
      local flat = {}
      for _, m in ipairs(made) do table.move(m.value:totable(), 1, m.value:numel(), #flat + 1, flat) end
      local back = {}
      for i, x in ipairs(flat) do back[order[i]] = x end
      return back, norm
    end
    local once, norm = run(0, 300)
    local cut, same = run(0, 1, 65, 100, 300)
    equal(norm, same)
    equal(once, cut)
    for i = 1, 300 do order[i] = i end
    cut, same = run(0, 300)
    equal(norm, same)
    equal(once, cut)
  end)

  it("leaves what has no gradient where it is, and moments that fade are 0", function()
    for _, class in ipairs(CLASSES) do
      local list = { { value = doubles { 1.5, 0, -2 }, gradient = doubles { 0, 0, 2 ^ -90 },
        first = doubles { 0, 2.0 ^ -100, 0 }, second = doubles { 0, 2.0 ^ -100, 0 } } }
      local made = optimisers.of(class).update(RULES[1], 3, list)
      equal({ made[1].value:get(0), made[1].first:get(0), made[1].second:get(0) }, { 1.5, 0.0, 0.0 })
      equal({ made[1].first:get(1), made[1].second:get(1), made[1].second:get(2) }, { 0.0, 0.0, 0.0 })
      assert(made[1].first:get(2) > 0)
    end
  end)

  it("makes parameters 0 that a blob would have as 0, but not in float64", function()
    local none = doubles { 0, 0, 0 }
    local list = { { value = doubles { 2.0 ^ -60, -2.0 ^ -61, -2.0 ^ -60 }, gradient = none, first = none,
      second = none } }
    for _, class in ipairs(CLASSES) do
      local p = optimisers.of(class).update(RULES[1], 0, list)[1].value:totable()
      equal(p, { 2.0 ^ -60, 0.0, -2.0 ^ -60 })
      equal(1 / p[2], math.huge)
    end
    equal(optimisers.of("float64").update(RULES[1], 0, list)[1].value:totable(), list[1].value:totable())
  end)

  it("clips to the norm", function()
    local rule = { kind = "adamw", lr = 1, betas = { 0, 0 }, eps = 1, clip = 1 }
    local function step(g)
      local zero = doubles { 0 }
      local made, norm = optimisers.of("f32-fma-1").update(rule, 0,
        { { value = zero, gradient = doubles { g }, first = zero, second = zero } })
      return made[1].first:get(0), norm
    end
    local first, norm = step(4)
    assert(math.abs(first - 1) < 1e-6 and norm == 4)
    first, norm = step(0.5)
    equal({ first, norm }, { 0.5, 0.5 })
    first, norm = step(2 ^ -110)
    equal({ first, norm }, { 0.0, 0.0 })
  end)

  it("refuses gradients that are no numbers, and rules that are none", function()
    local function of(g, rule, scale)
      return function()
        local list = { { value = doubles { 1, 2 }, gradient = doubles { 0, g }, first = doubles { 0, 0 },
          second = doubles { 0, 0 } } }
        return optimisers.of("f32-muladd-1").update(rule or RULES[1], 0, list, scale)
      end
    end
    refuses(of(0 / 0), "NaN")
    refuses(of(math.huge), "NaN")
    refuses(of(-math.huge), "NaN")
    refuses(of(2 ^ 60), "2^60")
    assert(of(2 ^ 59)())
    local function without(key, value)
      local rule = { kind = "adam", lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8 }
      rule[key] = value
      return of(1, rule)
    end
    refuses(without("kind", "sgd"), "adam or adamw")
    refuses(without("lr", -1), "lr")
    refuses(without("lr", 0 / 0), "lr")
    refuses(without("betas", { 0.9, 1 }), "betas")
    refuses(without("betas", 0.9), "betas")
    refuses(without("eps", 0), "eps")
    refuses(without("decay", -1), "decay")
    refuses(without("clip", 0), "clip")
    refuses(without("eps", "small"), "eps")
  end)
end)

-- ---- the tree ----

-- As docs/arithmetic.md defines it, as text.
local function tree(lo, hi)
  if hi - lo == 1 then return tostring(lo) end
  local s = 1
  while 2 * s < hi - lo do s = 2 * s end
  return "(" .. tree(lo, lo + s) .. "+" .. tree(lo + s, hi) .. ")"
end

-- What is left of a range of images, on a stack of texts.
local function rank(lo, hi)
  local stack, most = {}, 0
  for i = lo, hi - 1 do
    stack[#stack + 1] = tostring(i)
    most = math.max(most, #stack)
    for _ = 1, optimisers.merges(lo, i) do
      local top = table.remove(stack)
      stack[#stack] = "(" .. stack[#stack] .. "+" .. top .. ")"
    end
  end
  return stack, most
end

-- The ranks' blocks on one stack. @param ranks list of { lo, hi }
local function joined(ranks)
  local stack = {}
  for _, range in ipairs(ranks) do
    local sums = rank(table.unpack(range))
    local blocks = optimisers.blocks(table.unpack(range))
    equal(#sums, #blocks)
    for i, block in ipairs(blocks) do
      stack[#stack + 1] = sums[i]
      for _ = 1, optimisers.merges(0, block.first, block.level) do
        local top = table.remove(stack)
        stack[#stack] = "(" .. stack[#stack] .. "+" .. top .. ")"
      end
    end
  end
  while #stack > 1 do
    local top = table.remove(stack)
    stack[#stack] = "(" .. stack[#stack] .. "+" .. top .. ")"
  end
  return stack[1]
end

describe("the tree of a batch", function()
  it("is the same for any batch up to 33, on one rank and split in two and three at any image", function()
    for n = 1, 33 do
      local want = tree(0, n)
      equal(joined { { 0, n } }, want)
      for a = 0, n do
        equal(joined { { 0, a }, { a, n } }, want)
        for b = a, n do equal(joined { { 0, a }, { a, b }, { b, n } }, want) end
      end
    end
  end)

  it("is the same with a rank for each image, or for each three", function()
    for n = 1, 33 do
      local single, thirds = {}, {}
      for i = 0, n - 1 do single[i + 1] = { i, i + 1 } end
      for i = 0, n - 1, 3 do thirds[#thirds + 1] = { i, math.min(i + 3, n) } end
      equal(joined(single), tree(0, n))
      equal(joined(thirds), tree(0, n))
    end
  end)

  it("needs as many gradients as it says", function()
    for lo = 0, 17 do
      for hi = lo + 1, 40 do
        local _, most = rank(lo, hi)
        equal(optimisers.depth(lo, hi), most, lo .. " to " .. hi)
      end
    end
    equal({ optimisers.depth(0, 1), optimisers.depth(0, 2), optimisers.depth(0, 8), optimisers.depth(0, 9) },
      { 1, 2, 4, 4 })
    equal(optimisers.depth(3, 3), 0)
  end)

  it("adds element by element", function()
    local left, right, sum = {}, {}, {}
    for i = 1, 131 do left[i], right[i], sum[i] = i, 2.0 ^ -24 * i, i + 2.0 ^ -24 * i end
    equal(optimisers.of("float64").add(doubles(left), doubles(right)):totable(), sum)
    local rounded = optimisers.of("f32-fma-1").add(doubles(left), doubles(right)):totable()
    for i = 1, 131 do equal(rounded[i], string.unpack("<f", string.pack("<f", sum[i]))) end
  end)
end)
