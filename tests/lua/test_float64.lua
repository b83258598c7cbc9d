-- SPDX-License-Identifier: Apache-2.0
-- Double precision: the graph's interpreter in float64 is PyTorch's float64, so that what float32 rounds can be
-- measured.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys, tensor = spec.host "msagen.sys", spec.host "msagen.tensor"
if not (sys and tensor) then return end
local compiler, interpretation, interpreter = require "compiler.compiler", require "run.interpretation",
  require "graph.interpreter"
local json, npy, reference, tiny = require "msagen.json", require "msagen.npy", require "msagen.reference",
  require "tiny_model"
local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-float64-")
sys.cleanup(work)

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

local function case_of(name) return json.decode(sys.read_file(golden .. name .. "/case.json"), name) end

local function model_of(name, case)
  local device = { checkpoint = golden .. name .. "/checkpoint.pth", dialect = case.dialect,
    resolution = case.run_size or case.image_size, board = "generic-c99" }
  if (case.multimask or 1) > 1 then device.classes = case.multimask end
  if (case.slices or 1) > 1 then device.depth = case.slices end
  if case.thd and case.chunk then device.chunk = case.chunk == json.null and "none" or case.chunk end
  return tiny.quietly(compiler.models, device, "test")[1]
end

-- The image as PyTorch normalises it, whose float64 truth begins there, too: two roundings to float32.
local function normalised(name, m)
  local image = npy.read(golden .. name .. "/image.npy")
  local bytes, values, mean, std = image:tobytes(), {}, m.normalise.mean, m.normalise.std
  for i = 1, #bytes do
    local c = (i - 1) % 3 + 1
    values[i] = f32(f32(bytes:byte(i) - f32(mean[c])) / f32(std[c]))
  end
  return tensor.from(values, { #values // 3, 3 }), image.shape[3], image.shape[2]
end

-- The largest difference, and the largest value of the truth.
local function difference(found, name, what)
  local a, b = found:totable(), npy.read(golden .. name .. "/" .. what .. ".f64.npy"):totable()
  assert(#a == #b and #a > 0)
  local most, scale = 0, 0
  for i = 1, #a do
    local e = math.abs(a[i] - b[i])
    if not (e <= most) then most = e end
    scale = math.max(scale, math.abs(b[i]))
  end
  return most, scale
end

local function prompt_of(name, k, p)
  local points
  for i, q in ipairs(p.points or {}) do
    points = points or {}
    points[i] = { q[1], q[2], p.labels[i] }
  end
  return { points = points, box = p.box, multimask = p.multimask,
    mask = p.mask and npy.read(("%s%s/prompt_%d.mask_input.npy"):format(golden, name, k - 1)) or nil }
end

-- A case in a class, its encoder begun with PyTorch's input.
local function encoded(name, case, class)
  local one = interpretation.of(model_of(name, case), class)
  local input
  input, one.width, one.height = normalised(name, one.model)
  one.embedding = interpreter.run(one.R, one.graph, { image = input }, { "embedding" }).embedding
  return one
end

describe("golden cases in double precision", function()
  -- Plain, adapters, LoRA, resampled positions, the depth branch of both programs.
  for _, name in ipairs { "sam-2d", "msa-2023-2d", "msa-2024-2d", "msa-2025-2d-lora", "msa-2025-2d-other-resolution",
    "msa-paper-2d", "msa-paper-3d", "msa-2025-3d-no-chunk" } do
    it(("have the truth's embedding to 1e-13: %s"):format(name), function()
      local case = case_of(name)
      interpretation.in_class("float64", function()
        local found = encoded(name, case, "float64"):embedding_by_channel()
        equal(found.dtype, "f64")
        local most, scale = difference(found, name, "embedding")
        assert(most <= 1e-13 * scale, ("%.3g of %.3g"):format(most, scale))
      end)
    end)
  end

  -- The truth's Fourier features are of float32; a network multiplies their error. Nothing else is rounded.
  for _, name in ipairs { "sam-2d", "msa-2025-2d-lora" } do
    it(("have its logits to a quarter of what is allowed, float32 to all of that: %s"):format(name), function()
      local case = case_of(name)
      for class, share in pairs { float64 = 0.25, ["f32-fma-1"] = 1 } do
        interpretation.in_class(class, function()
          local one = encoded(name, case, class)
          local most = difference(one:embedding_by_channel(), name, "embedding")
          assert(most <= share * math.max(4 * case.torch_f32_vs_f64_max_abs, 2e-6 * case.embedding_scale), most)
          if class ~= "float64" then assert(most > 1e-9, "float32 rounds") end
          for k, p in ipairs(case.prompts) do
            most = difference((one:decode(0, prompt_of(name, k, p))), name, ("prompt_%d.logits"):format(k - 1))
            local allowed = math.max(4 * p.torch_f32_vs_f64_max_abs, 5e-5 * p.logits_scale)
            assert(most <= share * allowed, ("%s: prompt %d: %.3g of %.3g"):format(class, k, most, allowed))
          end
        end)
      end
    end)
  end
end)

-- An error of one whole number would be 1e-4 and more of a linear map's result. Weights of a softmax are rounded to
-- whole numbers as well, where double precision may fall on the other side: of few, by one.
local ALLOWED = { int8 = { linear = 2e-7, conv = 2e-7, attention = 1e-5, table_attention = 1e-5 },
  -- Rounded operands are the same but for weights of a softmax, of which few fall on the other side, by 2^-8 of one.
  bf16 = { linear = 3e-7, conv = 3e-7, attention = 1e-4, table_attention = 1e-5 } }
local CLASS = { int8 = "int8-dyn-1", bf16 = "bf16-1" }

local function beside_double(precision)
  for name, kinds in pairs { ["msa-2023-2d"] = { "linear", "conv", "attention" }, ["msa-paper-3d"] = { "linear", "conv",
    "attention" }, ["mobile-sam-2d"] = { "linear", "conv", "table_attention" } } do
    it(("has the same operands, and of each operation float32's rounding alone: %s"):format(name), function()
      local double, device, seen = reference.of "float64", { precision = precision }, {}
      local one = interpretation.of(model_of(name, case_of(name)), CLASS[precision], nil, device)
      local function widened(matrix) return double.packed(matrix):reshape(matrix.shape) end
      one.watch = function(op, y, value)
        if not op.precision then return end
        interpretation.in_class("float64", function()
          local wide = {}
          for _, input in ipairs(op.inputs) do wide[input] = widened(value[input]) end
          local error = interpreter.again(double, op, wide):relative_rms(y)
          local allowed = ALLOWED[precision][op.kind]
          assert(error > 1e-12 and error <= allowed, ("%s, %s: %.3g"):format(op.label, op.kind, error))
        end)
        seen[op.kind] = true
      end
      one:encode(npy.read(golden .. name .. "/image.npy"))
      for _, kind in ipairs(kinds) do assert(seen[kind], kind) end
    end)
  end
end

describe("int8 beside double precision", function() beside_double "int8" end)
describe("bf16 beside double precision", function() beside_double "bf16" end)

describe("msagen interpret --float64", function()
  local name = "msa-2023-2d" -- whose program rounds pixels as a build does: the truth's embedding follows from the file
  local case = case_of(name)
  local function run(...)
    return tiny.must { tiny.program(), "interpret", golden .. name .. "/checkpoint.pth", "--dialect", case.dialect,
      "--resolution", tostring(case.image_size), "--board", "generic-c99", "--image", golden .. name .. "/image.npy",
      "--point", "20,30", ... }
  end

  it("writes arrays of float64: the truth's embedding to 1e-13", function()
    local said = run("--float64", "--digest", "--out", work .. "/f64")
    assert(said:match "^digest %x+\n$", said)
    for _, one in ipairs { "embedding", "prompt_0.logits", "prompt_0.iou" } do
      equal(npy.read(("%s/f64/%s.npy"):format(work, one)).dtype, "f64")
    end
    local most, scale = difference(npy.read(work .. "/f64/embedding.npy"), name, "embedding")
    assert(most <= 1e-13 * scale, ("%.3g of %.3g"):format(most, scale))
  end)

  it("differs from float32 by what float32 rounds", function()
    run("--out", work .. "/f32")
    local a, b = npy.read(work .. "/f64/embedding.npy"), npy.read(work .. "/f32/embedding.npy")
    equal({ b.dtype, b.shape }, { "f32", a.shape })
    local x, y, most = a:totable(), b:totable(), 0
    for i = 1, #x do most = math.max(most, math.abs(x[i] - y[i])) end
    assert(most > 1e-8 and most <= 4 * case.torch_f32_vs_f64_max_abs, most)
  end)
end)

describe("tensors computed in double", function()
  it("are of f64, within in_double and no longer", function()
    local third = tensor.in_double(tensor.from, { 1 / 3 }, { 1, 1 })
    equal({ third.dtype, third:get(0, 0) }, { "f64", 1 / 3 })
    local function all()
      return third:add(third, 2), third:scale(3), third:matmul(third),
        third:resample_linear(2), third:reshape({ 1, 1, 1 }):resample_bicubic { 2, 2 }
    end
    for _, one in ipairs { tensor.in_double(all) } do equal(one.dtype, "f64") end
    local sum = tensor.in_double(all)
    equal(sum:get(0, 0), 1 / 3 + 2 * (1 / 3))
    for _, one in ipairs { all() } do equal(one.dtype, "f32") end
    equal(third:scale(1):get(0, 0), f32(1 / 3))
  end)

  it("no longer after an error either, which is passed on", function()
    refuses(function() tensor.in_double(require "support.fail", "%s went wrong", "it") end, "it went wrong")
    equal(tensor.from({ 1 }, { 1 }).dtype, "f32")
  end)

  it("are the same where each number is one of float32", function()
    local x = reference.pattern(1, 5, 7)
    local doubled = reference.of "float64".pattern(1, 5, 7)
    equal({ doubled.dtype, doubled:totable() }, { "f64", x:totable() })
  end)
end)

describe("single operations in double precision", function()
  local R = reference.of "float64"
  local ops = require "graph.ops"
  local function doubles(values, shape) return tensor.in_double(tensor.from, values, shape) end

  it("have gradients by finite differences: GELU", function()
    local h = 1e-5
    local function at(x) return ops.table.act.run(R, { f = "gelu" }, { x = doubles({ x }, { 1, 1 }) }):get(0, 0) end
    for _, x in ipairs { -3, -0.5, 0.25, 1, 2.5 } do
      local cumulative = 0.5 * R.evaluate(require "graph.expressions".of(require "graph.expressions".erfc),
        doubles({ -x / math.sqrt(2) }, { 1, 1 })):get(0, 0)
      local expected = cumulative + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
      local found = (at(x + h) - at(x - h)) / (2 * h)
      assert(math.abs(found - expected) < 1e-9, ("%.12g, %.12g"):format(found, expected))
    end
  end)

  it("have gradients by finite differences: layer norm, whose sum does not change with a shift", function()
    local values, h = { 0.3, -1.2, 0.7, 2.1, -0.4 }, 1e-5
    local gamma, beta = doubles({ 1, 2, 0.5, -1, 3 }, { 1, 5 }), doubles({ 0, 1, 2, 3, 4 }, { 1, 5 })
    local function all(by)
      local list = {}
      for i, v in ipairs(values) do list[i] = v + by end
      local inputs = { x = doubles(list, { 1, 5 }), gamma = gamma, beta = beta }
      return ops.table.layernorm.run(R, { eps = 1e-6 }, inputs):totable()
    end
    local up, down = all(h), all(-h)
    for i = 1, #values do assert(math.abs(up[i] - down[i]) / (2 * h) < 1e-9) end
  end)
end)
