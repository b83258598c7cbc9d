-- SPDX-License-Identifier: Apache-2.0
-- Metrics and clicks: golden values, brute force over random masks, and the verbs.

local spec = require "spec"
local describe, it, equal, holds, refuses = spec.describe, spec.it, spec.equal, spec.holds, spec.refuses
local sys, npy, tensor, json, metrics = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor",
  spec.host "msagen.json", spec.host "msagen.metrics"
if not (sys and npy and tensor and json and metrics) then return end

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden-front/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-metrics-")
sys.cleanup(work)

local function cases_of(name) return json.decode(sys.read_file(golden .. name .. "/cases.json"), name).cases end
local function mask_of(case, which) return npy.read(("%smetrics/%s.%s.npy"):format(golden, case.name, which)) end

local function near(got, wanted, what)
  if type(wanted) ~= "number" then return equal(got, nil, what) end
  equal(got ~= nil and math.abs(got - wanted) <= 1e-12 * math.max(1, math.abs(wanted)), true,
    ("%s: expected %.17g, found %s"):format(what, wanted, tostring(got)))
end

describe("golden values", function()
  it("of masks are met to 1e-12, DeepMind's of surfaces too", function()
    for _, case in ipairs(cases_of "metrics") do
      local m = metrics.compare(mask_of(case, "pred"), mask_of(case, "truth"), case.spacing)
      for _, name in ipairs { "pred_pixels", "truth_pixels", "dice", "iou", "dice_msa", "iou_msa", "hd95_pooled",
        "hd95_max", "hd", "assd" } do near(m[name], case[name], case.name .. " " .. name) end
      near(m.surface_dice, case.surface_dice_tol_1mm, case.name .. " surface_dice")
      near(m.hd95_area, case.libraries["deepmind.robust_hausdorff95"], case.name .. " hd95_area")
      near(m.surface_dice_area, case.libraries["deepmind.surface_dice_1mm"], case.name .. " surface_dice_area")
      equal({ m.pred_border, m.truth_border }, case.border_pixels, case.name)
    end
  end)

  it("of clicks are met exactly", function()
    for _, case in ipairs(cases_of "clicks") do
      local pred, truth = mask_of(case, "pred"), mask_of(case, "truth")
      equal(metrics.click(truth), case.first, case.name)
      equal(metrics.click(truth, pred), case.next, case.name)
    end
  end)

  it("of MSA's own evaluation are met to the last bit", function()
    local case = json.decode(sys.read_file(golden .. "msa_eval/case.json"), "case.json")
    local logits, truth = npy.read(golden .. "msa_eval/logits.f32.npy"), npy.read(golden .. "msa_eval/truth.f32.npy")
    for _, version in ipairs { "msa-2023", "msa-2025" } do
      equal(metrics.msa_eval(logits, truth, version), { iou = case[version].iou, dice = case[version].dice })
    end
  end)
end)

-- The definitions, without thought for time. A mask is { [index] = true }, shape of 3 axes, the first of which may
-- be missing (1, and no neighbours along it).

local function places(mask, shape, flat)
  local list = {}
  for i in pairs(mask) do
    local at = { i // (shape[2] * shape[3]), i // shape[3] % shape[2], i % shape[3] }
    local border = false
    for k = flat and 2 or 1, 3 do
      local step = k == 1 and shape[2] * shape[3] or k == 2 and shape[3] or 1
      border = border or at[k] == 0 or at[k] == shape[k] - 1 or not mask[i - step] or not mask[i + step]
    end
    if border then list[#list + 1] = at end
  end
  return list
end

local function directed(a, b, mm)
  local list = {}
  for i, p in ipairs(a) do
    local least = math.huge
    for _, q in ipairs(b) do
      local sum = 0
      for k = 1, 3 do sum = sum + ((p[k] - q[k]) * mm[k]) ^ 2 end
      least = math.min(least, sum)
    end
    list[i] = math.sqrt(least)
  end
  table.sort(list)
  return list
end

local function at95(list)
  local place = (#list - 1) * 95 / 100
  local i = math.floor(place)
  return list[i + 1] + ((list[i + 2] or list[i + 1]) - list[i + 1]) * (place - i)
end

local function mean(list)
  local sum = 0
  for _, x in ipairs(list) do sum = sum + x end
  return sum / #list
end

-- A few boxes, and specks.
local function random_mask(shape, dense)
  local mask, bytes, pixels = {}, {}, shape[1] * shape[2] * shape[3]
  for _ = 1, math.random(0, 3) do
    local low, high = {}, {}
    for k = 1, 3 do
      low[k] = math.random(0, shape[k] - 1)
      high[k] = math.random(low[k], shape[k] - 1)
    end
    for z = low[1], high[1] do
      for y = low[2], high[2] do
        for x = low[3], high[3] do mask[(z * shape[2] + y) * shape[3] + x] = true end
      end
    end
  end
  for _ = 1, dense and pixels // 2 or math.random(0, 4) do mask[math.random(0, pixels - 1)] = true end
  for i = 0, pixels - 1 do bytes[i + 1] = mask[i] and "\1" or "\0" end
  return mask, table.concat(bytes)
end

describe("distances", function()
  it("of random masks are those of brute force", function()
    math.randomseed(14)
    for round = 1, 60 do
      local flat = round % 2 == 0
      local shape = { flat and 1 or math.random(1, 7), math.random(1, 12), math.random(1, 12) }
      local mm = { 0.2 + 3 * math.random(), 0.2 + math.random(), round % 3 == 0 and 1 or 0.2 + 2 * math.random() }
      local a, a_bytes = random_mask(shape, round % 5 == 0)
      local b, b_bytes = random_mask(shape, round % 7 == 0)
      local dims, spacing = flat and { shape[2], shape[3] } or shape, flat and { mm[2], mm[3] } or mm
      local m = metrics.compare(tensor.frombytes(a_bytes, "u8", dims), tensor.frombytes(b_bytes, "u8", dims), spacing,
        0.7)
      local p, q = places(a, shape, flat), places(b, shape, flat)
      equal({ m.pred_border, m.truth_border }, { #p, #q })
      if #p > 0 and #q > 0 then
        local there, back = directed(p, q, mm), directed(q, p, mm)
        local both = table.move(back, 1, #back, #there + 1, { table.unpack(there) })
        local close = 0
        table.sort(both)
        for _, d in ipairs(both) do close = close + (d <= 0.7 and 1 or 0) end
        near(m.hd, both[#both], "hd")
        near(m.hd95_pooled, at95(both), "pooled")
        near(m.hd95_max, math.max(at95(there), at95(back)), "max")
        near(m.assd, (mean(there) + mean(back)) / 2, "assd")
        near(m.surface_dice, close / #both, "surface_dice")
      else
        equal({ m.hd, m.hd95_area }, {})
        equal(m.surface_dice_area, #p + #q > 0 and 0 or nil)
      end
    end
  end)

  it("are the same where a search would take too long", function()
    -- Two corners of a wide picture, and a wall far from a plate.
    local function picture(from, to, shape)
      local zero = ("\0"):rep(shape[1] * shape[2] * (shape[3] or 1))
      return tensor.frombytes(zero:sub(1, from) .. ("\1"):rep(to - from) .. zero:sub(to + 1), "u8", shape)
    end
    local m = metrics.compare(picture(0, 1, { 200, 300 }), picture(59999, 60000, { 200, 300 }), { 2, 0.5 })
    near(m.hd, math.sqrt((199 * 2) ^ 2 + (299 * 0.5) ^ 2), "hd")
    local shape = { 40, 30, 50 }
    m = metrics.compare(picture(0, 1500, shape), picture(58500, 60000, shape), { 1, 1, 1 })
    equal({ m.hd, m.assd, m.hd95_pooled }, { 39, 39, 39 })
    near(m.hd95_area, 39, "hd95_area")
  end)

  it("are refused what is no mask, no spacing, no shape", function()
    local a, wide = tensor.zeros({ 4, 5 }, "u8"), tensor.zeros({ 1, 65534 }, "u8")
    refuses(function() metrics.compare(a, a, { 1, 0 }) end, "spacing", "1e-06 to 1e+06", "found 0")
    refuses(function() metrics.compare(a, a, { 1, 0 / 0 }) end, "spacing")
    refuses(function() metrics.compare(wide, wide, { 1, 1 }) end, "1 to 65533", "65534")
    for _, wrong in ipairs { { a, tensor.zeros({ 5, 4 }, "u8"), { 1, 1 } }, { a, a, { 1 } }, { a, a, { 1, 1, 1 } },
      { a, tensor.zeros({ 4, 5 }, "f32"), { 1, 1 } }, { tensor.zeros({ 4 }, "u8"), tensor.zeros({ 4 }, "u8"),
        { 1 } } } do
      equal(pcall(metrics.compare, table.unpack(wrong)), false)
    end
    equal(pcall(metrics.click, a, wide), false)
    equal(pcall(metrics.msa_eval, tensor.zeros({ 1, 2, 2 }, "f32"), tensor.zeros({ 1, 2, 2 }, "f32"), "msa"), false)
  end)
end)

local function verb(name, args)
  local printed, out, say = {}, io.stdout, print
  print = function(...) printed[#printed + 1] = table.concat({ ... }, "\t") .. "\n" end
  io.stdout = { write = function(_, ...) printed[#printed + 1] = table.concat { ... } end }
  local ok, status = pcall(require("cli.verbs." .. name).run, args)
  print, io.stdout = say, out
  if not ok then error(status, 0) end
  equal(status, 0)
  return table.concat(printed)
end

describe("msagen metrics", function()
  local function file(name, bytes, shape, dtype)
    npy.write(work .. "/" .. name, tensor.frombytes(bytes, dtype or "u8", shape))
    return work .. "/" .. name
  end
  local two = file("two.npy", "\0\1\1\0\2\2\0\0\2", { 3, 3 })
  local other = file("other.npy", "\0\1\0\0\2\2\0\0\2", { 3, 3 })

  it("compares each label, in pixels where nobody knows the spacing", function()
    local text = verb("metrics", { pred = two, truth = other })
    holds(text, "\n1      2     1 0.6667", "\n2      3     3 1.0000", "ASSD: pixels", "within 1 pixels")
    text = verb("metrics", { pred = two, truth = other, spacing = { 0.5, 3 }, tolerance = 2, class = { "any" } })
    holds(text, "\nany", "ASSD: mm", "within 2 mm", "spacing 0.5 x 3 mm")
  end)

  it("gives JSON with null where a number is not defined", function()
    local none = file("none.npy", ("\0"):rep(9), { 3, 3 })
    local found = json.decode(verb("metrics", { pred = none, truth = two, json = true, class = { "1", "3" } }), "json")
    local one, three = found.classes[1], found.classes[2]
    equal({ found.shape, found.spacing, one.class, one.dice, one.iou, one.hd, one.surface_dice_area },
      { { 3, 3 }, json.null, "1", 0, 0, json.null, 0 })
    equal({ three.class, three.dice, three.iou, three.hd95_pooled, three.truth_pixels },
      { "3", json.null, json.null, json.null, 0 })
  end)

  it("takes black and white of one and 0 and 1 of the other for one class", function()
    local path = work .. "/white.png"
    require("msagen.image").write_png(path, tensor.frombytes("\0\255\0\0\255\255\0\0\255", "u8", { 3, 3 }))
    local ones = file("ones.npy", "\0\1\0\0\1\1\0\0\1", { 3, 3 })
    holds(verb("metrics", { pred = path, truth = ones }), "inside      4     4 1.0000 1.0000 0.0000")
  end)

  it("refuses other shapes, spacings and classes", function()
    local wide = file("wide.npy", ("\0"):rep(12), { 3, 4 })
    refuses(function() verb("metrics", { pred = wide, truth = two }) end, "wide.npy", "[3,3]", "[3,4]")
    local three = { 1, 1, 1 }
    refuses(function() verb("metrics", { pred = two, truth = two, spacing = three }) end, "--spacing", "2 numbers")
    refuses(function() verb("metrics", { pred = two, truth = two, class = { "red" } }) end, "--class", "red")
    refuses(function() verb("metrics", { pred = two, truth = two, class = { "1,2,3" } }) end, "--class 1,2,3", "value")
    refuses(function() verb("metrics", { pred = two, truth = work .. "/absent.npy" }) end, "absent.npy")
    local many = {}
    for i = 0, 99 do many[i + 1] = string.char(i) end
    local labels = file("many.npy", table.concat(many), { 10, 10 })
    refuses(function() verb("metrics", { pred = labels, truth = labels }) end, "at most 64 labels", "100", "--class")
  end)

  it("says where to click, in each slice", function()
    equal(verb("clicks", { truth = other, pred = two }), "class 1 2.5,0.5,0  outside\n")
    equal(verb("clicks", { truth = two, pred = two }), "nothing to click on\n")
    local volume = file("volume.npy", ("\0"):rep(9) .. ("\1"):rep(9), { 2, 3, 3 })
    equal(verb("clicks", { truth = volume }), "slice 1 1.5,1.5,1  inside\n")
    local found = json.decode(verb("clicks", { truth = volume, json = true }), "json")
    equal(found, { truth = volume, pred = json.null, clicks = { { class = "inside", slice = 1, x = 1.5, y = 1.5,
      label = 1, squared_distance = 4, component_pixels = 9 } } })
  end)
end)
