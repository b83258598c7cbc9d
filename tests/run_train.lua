-- SPDX-License-Identifier: Apache-2.0
-- Golden cases of training by the interpreter: losses, gradients and steps within the tolerance around float64 truth,
-- in float64 and in both classes of arithmetic, whose digests are those of tests/golden-train/digests.json; generated
-- code has them, too.
-- luahost run_train.lua [CASE-PREFIX...]; tests/golden-train/README.md gives the tolerances.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local tally = require "tally"

local golden = tally.tests .. "/golden-train"
local work = tally.folder "train"
local digests = json.decode(sys.read_file(golden .. "/digests.json"), "digests.json")

local CLASSES = { "float64", "f32-fma-1", "f32-muladd-1" }
-- What a gradient is above its noise, and what Adam may make of one that is not: steps of lr.
local DETERMINED, NOISE = 100, 3.3

local function read(path) return npy.read(path):totable() end

local function largest(list, first, count)
  local most = 0
  for i = first + 1, first + count do most = math.max(most, math.abs(list[i])) end
  return most
end

local function elements(one)
  local n = 1
  for _, size in ipairs(one.shape) do n = n * size end
  return n
end

-- The worst ratio of errors to what is allowed; infinite where one is NaN.
local function keeper()
  local worst, at = 0, "nothing"
  return function(ratio, what)
    if not (ratio <= worst) then worst, at = ratio == ratio and ratio or math.huge, what end
  end, function() return worst, at end
end

local function compare_losses(put, got, truth, errors)
  local losses = read(got .. "/loss.npy")
  assert(#losses >= 1 and (#losses == 1 or #losses >= #truth))
  for k, loss in ipairs(losses) do
    if not truth[k] then break end
    put(math.abs(loss - truth[k]) / math.max(4 * errors[k], 1e-6 * math.max(1, math.abs(truth[k]))),
      ("loss before step %d"):format(k))
  end
end

-- @param file of the true gradient @param errors PyTorch's, a tensor each
local function compare_gradients(put, case, got, file, errors)
  local found, truth, top = read(got .. "/grad.npy"), read(file), 0
  assert(#found == #truth, "as many values as the case has expected")
  for _, one in ipairs(case.tensors) do top = math.max(top, largest(truth, one.offset, elements(one))) end
  for k, one in ipairs(case.tensors) do
    local n, most = elements(one), 0
    for i = one.offset + 1, one.offset + n do
      local e = math.abs(found[i] - truth[i])
      if not (e <= most) then most = e end
    end
    put(most / math.max(4 * errors[k], 2e-6 * (one.zero and top or largest(truth, one.offset, n))),
      "gradient of " .. one.name)
  end
  return truth
end

-- One tensor's change after a number of steps.
local function compare_change(one, k, error, lr, found, truth, gradient)
  local allowed, most = math.max(4 * error, 0.01 * lr), 0
  for i = one.offset + 1, one.offset + elements(one) do
    local known = math.abs(gradient[i]) >= DETERMINED * one.grad_torch_f32_err and gradient[i] ~= 0
    local ratio = math.abs(found[i] - truth[i]) / (known and allowed or NOISE * k * lr)
    if not (ratio <= most) then most = ratio end
  end
  return most
end

local function compare_steps(put, name, case, got, gradient)
  local compared = 0
  for number, k in ipairs { 1, 2, 10 } do
    local file = ("%s/%s/delta_%d.npy"):format(golden, name, k)
    if sys.exists(file) then
      local found, truth = read(("%s/delta_%d.npy"):format(got, k)), read(file)
      assert(#found == #truth)
      for _, one in ipairs(case.tensors) do
        put(compare_change(one, k, one.delta_torch_f32_err[number], case.optimiser.lr, found, truth, gradient),
          ("step %d of %s"):format(k, one.name))
      end
      compared = compared + 1
    end
  end
  assert(compared == (case.case == "training step" and 2 or 1), "as many of the steps as such cases have expected")
end

local VERBS = { ["training step"] = "train", ["pre-training step"] = "pretrain" }

local function run(name, case, class, got, ...)
  local said = tally.must { tally.program, VERBS[case.case], "--case", ("%s/%s"):format(golden, name), "--interpret",
    class, "-o", got, ... }
  return assert(said:match "^digest (%x+)\n$", said)
end

local function held(worst, at)
  assert(worst <= 1, ("%.3f of the allowed error: %s"):format(worst, at))
  return ("%.3f of the allowed error"):format(worst)
end

local function whole(name, case, class)
  local got = ("%s/%s-%s"):format(work, name, class)
  local digest, put, worst = run(name, case, class, got), keeper()
  compare_losses(put, got, case.loss_f64, case.loss_torch_f32_err)
  local errors = {}
  for i, one in ipairs(case.tensors) do errors[i] = one.grad_torch_f32_err end
  local gradient = compare_gradients(put, case, got, ("%s/%s/grad.npy"):format(golden, name), errors)
  compare_steps(put, name, case, got, gradient)
  if class ~= "float64" then
    local known = digests[class][name]
    assert(digest == known, ("digest %s, in tests/golden-train/digests.json %s"):format(digest, known))
  end
  return held(worst())
end

-- A gcc that optimises less than a board asks for, which saves a third: as they are shipped run_train_shapes.lua and
-- run_training.lua compile trainings, and the full tier these, too.
local bin, gcc = work .. "/bin", tally.must({ "sh", "-c", "command -v gcc" }):match "[^\n]+"
sys.mkdir_p(bin)
sys.write_file(bin .. "/gcc", ("#!/bin/sh\nPATH='%s' exec '%s' \"$@\" -O1\n"):format(os.getenv "PATH", gcc))
sys.chmod(bin .. "/gcc", 493)
local compiling = not tally.full and { PATH = bin .. ":" .. os.getenv "PATH" } or nil

-- The same by generated code of a board.
local function generated(name, case, board)
  local got = ("%s/%s-on-%s"):format(work, name, board)
  local said = tally.must { tally.program, VERBS[case.case], "--case", ("%s/%s"):format(golden, name), "--board",
    board, "-o", got, env = compiling }
  local digest, known = said:match "^digest (%x+)\n$", digests[tally.class[board]][name]
  assert(digest == known, ("digest %s, in tests/golden-train/digests.json %s"):format(digest, known))
end

local function variant(name, case, one, class)
  local got = ("%s/%s-%s-%s"):format(work, name, one.name, class)
  run(name, case, class, got, "--variant", one.name)
  local put, worst = keeper()
  compare_losses(put, got, { one.loss_f64 }, { one.loss_torch_f32_err })
  compare_gradients(put, case, got, ("%s/%s/%s"):format(golden, name, one.file), one.grad_torch_f32_err)
  return held(worst())
end

local function wanted(name)
  for _, prefix in ipairs(arg) do
    if name:sub(1, #prefix) == prefix then return true end
  end
  return #arg == 0
end

local found = 0
for _, name in ipairs(sys.list(golden)) do
  local file = ("%s/%s/case.json"):format(golden, name)
  local case = wanted(name) and sys.exists(file) and json.decode(sys.read_file(file), file)
  if case then
    found = found + 1
    local classes = tally.quick and { "float64", tally.chosen({ "f32-fma-1", "f32-muladd-1" }, name) } or CLASSES
    for _, class in ipairs(classes) do
      tally.test(("%s, %s"):format(name, class), whole, name, case, class)
    end
    -- One of the boards that this CPU runs, in the full tier all.
    local boards = {}
    for i, board in ipairs(tally.boards) do boards[i] = board.name end
    for _, board in ipairs(tally.quick and {} or tally.full and boards or { tally.chosen(boards, name) }) do
      tally.test(("%s, generated code, %s"):format(name, board), generated, name, case, board)
    end
    for _, one in ipairs(case.variants or {}) do
      for _, class in ipairs(tally.quick and { "float64" } or CLASSES) do
        tally.test(("%s, %s, %s"):format(name, one.name, class), variant, name, case, one, class)
      end
    end
  end
end
tally.test("there are cases of training", function() assert(found > 0) end)
return tally.finish()
