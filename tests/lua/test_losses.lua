-- SPDX-License-Identifier: Apache-2.0
-- The losses of training: against PyTorch's float64 in tests/golden-train, against differences of their own values, and
-- where nothing is computed.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local losses, tensor = spec.host "msagen.loss", spec.host "msagen.tensor"
if not (losses and tensor) then return end
local json, npy, sys = require "msagen.json", require "msagen.npy", require "msagen.sys"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden-train/"
local CLASSES = { "f32-fma-1", "f32-muladd-1" }
local RULES = { { kind = "bce", pos_weight = 2 }, { kind = "bce", pos_weight = 1 },
  { kind = "dicece", cross_entropy = "none" }, { kind = "dicece", cross_entropy = "binary" },
  { kind = "sam", focal = 20, dice = 1, iou = 1 }, { kind = "sam", focal = 3, dice = 0.5, iou = 2 } }

-- Numbers in [-1, 1), the same on every machine.
local function noise(seed)
  local state = seed
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) / 2 ^ 30 - 1
  end
end

local function doubles(list, shape) return tensor.in_double(function() return tensor.from(list, shape) end) end

local function bytes(text, ...) return tensor.frombytes(text, "u8", { ... }) end

local function plane(t, i) return t:slice(1, i - 1, 1):reshape { table.unpack(t.shape, 2) } end

-- ---- golden cases ----

local CASES = { ["msa-2023-2d"] = RULES[1], ["msa-2025-2d"] = RULES[1], ["msa-2025-2d-lora"] = RULES[1],
  ["msa-2023-3d"] = RULES[3], ["msa-paper-2d"] = RULES[5], ["sam-2d-loss"] = RULES[5] }

-- One prompt of a case by a class, with the largest difference and the largest value of its gradient.
local function computed(class, name, rule, k)
  local function file(what) return npy.read(("%s%s/%s_%d.f64.npy"):format(golden, name, what, k)) end
  local logits, truth, target = file "logits", file "dlogits", npy.read(golden .. name .. "/target.npy")
  local found = { value = 0, apart = 0, largest = 0 }
  local batch = logits.shape[1]
  for b = 1, batch do
    local r = losses.of(class).value { logits = plane(logits, b), target = plane(target, b), rule = rule,
      iou = rule.kind == "sam" and plane(file "iou", b) or nil, weight = 1 / batch }
    local a, t = r.dlogits:totable(), plane(truth, b):totable()
    assert(#a == #t and #a > 0)
    for i = 1, #a do
      found.apart = math.max(found.apart, math.abs(a[i] - t[i]))
      found.largest = math.max(found.largest, math.abs(t[i]))
    end
    found.value = found.value + r.value / batch
    found[b] = r
  end
  return found
end

local function near(found, expected, tolerance, what)
  if not (math.abs(found - expected) <= tolerance) then
    error(("%s: %.17g expected within %.3g, found %.17g"):format(what, expected, tolerance, found), 2)
  end
end

describe("losses against PyTorch", function()
  for name, rule in pairs(CASES) do
    local case = json.decode(sys.read_file(golden .. name .. "/case.json"), name)
    it(name .. " in float64, to the last digits", function()
      local sum = 0
      for k, prompt in ipairs(case.prompts) do
        local found = computed("float64", name, rule, k - 1)
        assert(found.apart <= 1e-12 * found.largest, ("%s: gradient %.3g"):format(name, found.apart / found.largest))
        near(found.value, prompt.step1.loss, 1e-12 * math.max(1, prompt.step1.loss), name)
        sum = sum + found.value
        for b = 1, rule.kind == "sam" and #found or 0 do
          equal(found[b].chosen, prompt.step1.chosen[b])
          for m, mask in ipairs(found[b].masks) do
            near(mask.cross, prompt.step1.focal[b][m], 1e-12, "focal")
            near(mask.dice, prompt.step1.dice[b][m], 1e-12, "dice")
            near(mask.iou, prompt.step1.iou_true[b][m], 1e-12, "iou")
          end
        end
      end
      near(sum, case.loss_f64[1], 2e-12 * math.max(1, sum), name)
    end)
    it(name .. " in both classes, within PyTorch's own error", function()
      for _, class in ipairs(CLASSES) do
        local sum = 0
        for k, prompt in ipairs(case.prompts) do
          local found = computed(class, name, rule, k - 1)
          assert(found.apart <= math.max(4 * prompt.dlogits_torch_f32_err, 2e-6 * found.largest),
            ("%s %s: gradient %.3g"):format(class, name, found.apart / found.largest))
          sum = sum + found.value
        end
        near(sum, case.loss_f64[1], math.max(4 * case.loss_torch_f32_err[1], 1e-6 * math.max(1, sum)), name)
      end
    end)
  end

  it("MONAI from 1.3 on adds cross-entropy", function()
    local case = json.decode(sys.read_file(golden .. "msa-2023-3d/case.json"), "case")
    near(computed("float64", "msa-2023-3d", RULES[4], 0).value, case.variants[1].loss_f64, 2e-12, "value")
  end)
end)

-- ---- differences ----

-- Logits, predicted IoU and a target; sizes that divide nothing, and a target that is smaller than the logits.
local function input(seed, rule, side, target, masks, planes, soft)
  local next, x, t, iou = noise(seed), {}, {}, {}
  for i = 1, masks * side * side do x[i] = 6 * next() end
  for i = 1, planes * target * target do t[i] = soft and (next() + 1) / 2 or next() > 0.3 and 1 or 0 end
  for i = 1, masks do iou[i] = next() end
  return { rule = rule, x = x, iou = iou, side = side, masks = masks, target = soft and tensor.from(t, { planes, target,
    target }) or bytes(string.char(table.unpack(t)), planes, target, target) }
end

local function value(p, class, extra)
  local argument = { rule = p.rule, logits = doubles(p.x, { p.masks, p.side, p.side }), target = p.target,
    iou = doubles(p.iou, { p.masks }) }
  for key, of in pairs(extra or {}) do argument[key] = of end
  return losses.of(class or "float64").value(argument)
end

-- The derivative of the value by entry i of a list, from five values.
local function derivative(p, list, i, extra)
  local h, at, sum = 1e-3, list[i], 0
  for k, factor in pairs { [-2] = 1 / 12, [-1] = -2 / 3, [1] = 2 / 3, [2] = -1 / 12 } do
    list[i] = at + k * h
    sum = sum + factor * value(p, nil, extra).value
  end
  list[i] = at
  return sum / h
end

local SHAPES = { { 5, 5, 1, 1 }, { 6, 17, 1, 1, true }, { 7, 16, 3, 1 }, { 8, 5, 2, 2, true }, { 1, 9, 1, 1 },
  { 4, 1, 1, 1 } }

describe("gradients are the derivatives of the value", function()
  for n, rule in ipairs(RULES) do
    it(("of rule %d"):format(n), function()
      for s, shape in ipairs(SHAPES) do
        local p = input(100 * n + s, rule, table.unpack(shape))
        local r = value(p, nil, { weight = 0.75 })
        local d, di = r.dlogits:totable(), r.diou:totable()
        local pick = noise(n + s)
        for _ = 1, math.min(#p.x, 12) do
          local i = 1 + (math.floor((pick() + 1) / 2 * #p.x)) % #p.x
          near(d[i], 0.75 * derivative(p, p.x, i), 1e-8, "logit " .. i)
        end
        for i = 1, #p.iou do near(di[i], 0.75 * derivative(p, p.iou, i), 1e-8, "iou " .. i) end
      end
    end)
  end

  it("of the masks that take part alone", function()
    local p = input(7, RULES[1], 6, 11, 4, 3)
    local r = value(p, nil, { first = 1, count = 3 })
    local d = r.dlogits:totable()
    for i = 1, 36 do equal(d[i], 0.0) end
    for _, i in ipairs { 37, 80, 144 } do near(d[i], derivative(p, p.x, i, { first = 1, count = 3 }), 1e-8, "logit") end
    p = input(8, RULES[5], 6, 11, 4, 1)
    r = value(p, nil, { first = 1, count = 3 })
    d = r.dlogits:totable()
    assert(r.chosen >= 1 and r.chosen <= 3)
    for i = 1, #d do equal(d[i] ~= 0, (i - 1) // 36 == r.chosen) end
    for i, di in ipairs(r.diou:totable()) do equal(di ~= 0, i - 1 == r.chosen) end
    r = value(p, nil, { first = 0, count = 1 })
    equal({ r.chosen, #r.masks }, { 0, 1 })
  end)
end)

describe("the classes of arithmetic", function()
  it("are near float64", function()
    for _, class in ipairs(CLASSES) do
      for n, rule in ipairs(RULES) do
        local p = input(n, rule, 16, 61, 2, 1, n % 2 == 0)
        local a, b = value(p, class), value(p)
        near(a.value, b.value, 1e-6 * math.max(1, b.value), class)
        local x, y, most = a.dlogits:totable(), b.dlogits:totable(), 0
        for i = 1, #y do most = math.max(most, math.abs(y[i])) end
        for i = 1, #y do near(x[i], y[i], 2e-6 * most, class) end
      end
    end
  end)

  it("are right for logits of any size", function()
    for _, class in ipairs(CLASSES) do
      for _, x in ipairs { 0, 1e-30, 0.7, 20, 59.9, 60.1, 1e4, 1e18 } do
        for _, sign in ipairs { -1, 1 } do
          for _, t in ipairs { "\0", "\1" } do
            local function of(name)
              return losses.of(name).value { logits = doubles({ sign * x }, { 1, 1, 1 }),
                target = bytes(t, 1, 1), rule = RULES[1] }
            end
            local a, b = of(class), of "float64"
            near(a.value, b.value, 3e-7 * b.value + 2 * math.exp(-60), class)
            local d = b.dlogits:get(0, 0, 0)
            near(a.dlogits:get(0, 0, 0), d, 3e-7 * math.abs(d) + 2 * math.exp(-60), class)
          end
        end
      end
    end
  end)
end)

describe("what a loss says", function()
  local function of(argument)
    return function()
      return losses.of("f32-fma-1").value {
        rule = argument.rule or RULES[5], logits = tensor.from(argument.logits or { 1, -1, 2, 0.5 }, { 1, 2, 2 }),
        target = argument.target or bytes("\0\1\1\0", 2, 2),
        iou = tensor.from({ argument.iou or 0.5 }, { 1 }), weight = argument.weight, first = argument.first,
        count = argument.count }
    end
  end

  it("the first of masks that are alike is chosen", function()
    local p = input(3, RULES[5], 5, 9, 3, 1)
    for i = 1, 25 do p.x[50 + i] = p.x[25 + i] end
    for class = 1, 2 do
      for k, want in ipairs { value(p, CLASSES[class], { first = 1, count = 2 }).chosen,
        value(p, CLASSES[class], { first = 2, count = 1 }).chosen } do equal(want, k) end
    end
  end)

  it("empty targets are allowed, and an empty mask of them has IoU 0", function()
    local empty = bytes("\0\0\0\0", 2, 2)
    for _, rule in ipairs(RULES) do assert(of { rule = rule, target = empty }().value > 0) end
    equal(of { target = empty, logits = { -1, -2, -3, -4 } }().masks[1].iou, 0.0)
    equal(of { logits = { 1, -1, 1, 0 } }().masks[1].iou, 1 / 3)
  end)

  it("bad input is refused", function()
    local nan, huge = 0 / 0, math.huge
    refuses(of { logits = { 1, nan, 1, 1 } }, "2^60")
    refuses(of { logits = { 1, huge, 1, 1 } }, "2^60")
    refuses(of { iou = nan }, "2^60")
    refuses(of { logits = { 1, 1, -2 ^ 60, 1 } }, "2^60")
    assert(of { logits = { 1, 1, -2 ^ 59, 1 } }().value > 2 ^ 56)
    refuses(of { target = bytes("\0\2\1\0", 2, 2) }, "0 and 1")
    refuses(of { target = tensor.from({ 0, 1.25, 1, 0 }, { 2, 2 }) }, "0 to 1")
    refuses(of { target = tensor.from({ 0, nan, 1, 0 }, { 2, 2 }) }, "0 to 1")
    refuses(of { target = tensor.from({ 0, -0.5, 1, 0 }, { 2, 2 }) }, "0 to 1")
    refuses(of { target = bytes("\0\1", 2, 1) }, "another shape")
    refuses(of { weight = -1 }, "weight")
    refuses(of { first = 1 }, "first")
    refuses(of { count = 2 }, "count")
    refuses(of { rule = { kind = "mse" } }, "bce, dicece or sam")
    refuses(of { rule = { kind = "dicece" } }, "none or binary")
    refuses(of { rule = { kind = "bce", pos_weight = 0 } }, "pos_weight")
    refuses(function() losses.of "f64" end, "float64")
  end)
end)
