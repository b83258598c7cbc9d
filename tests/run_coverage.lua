-- SPDX-License-Identifier: Apache-2.0
-- Coverage of generated code and of the runtime by the test program of runtime/coverage: every statement, branch and
-- condition (MC/DC) is reached, or lua/report/unreached.lua says by name why not. In the full tier of every golden case
-- and of builds of each kind.
local sys = require "msagen.sys"
local coverage = require "report.coverage"
local cases = require "cases"
local tally = require "tally"
local folders = require "run.folder"
local front_end = require "signal.built"
local must = tally.must

local CLANG = "clang-19"
if not pcall(sys.spawn, { CLANG, "--version", stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null" }) then
  tally.skip("coverage", "there is no " .. CLANG)
  return tally.finish()
end

local work = tally.folder "coverage"
local used = {}

local function measured(fw, records)
  local place = sys.mkdtemp(work, "measured-")
  local folder = folders.read(fw).kind == "training" and folders.training(fw) or folders.open(fw, true)
  local report = coverage.collect(folder, place, records)
  sys.remove_tree(place)
  for _, one in ipairs(report.unreached) do
    if one.record then used[one.record] = true end
  end
  return report
end

local function listed(items)
  local lines = {}
  for i = 1, math.min(#items, 20) do
    lines[i] = ("%s:%d %s %s %s: %s"):format(items[i].file, items[i].line, items[i]["function"] or "", items[i].kind,
      items[i].outcome or "", items[i].text)
  end
  return table.concat(lines, "\n")
end

local function share(of) return 100 * of.reached / of.all end

-- @return what is reached, as a line
local function explained(fw)
  local report = measured(fw)
  assert(not report.wrong, report.wrong)
  assert(#report.unexplained == 0, "\n" .. listed(report.unexplained))
  local whole = report.whole
  assert(share(whole.statement) > 97 and share(whole.branch) > 94 and share(whole.condition) > 80,
    ("statements %.1f %%, branches %.1f %%, conditions %.1f %%"):format(share(whole.statement), share(whole.branch),
    share(whole.condition)))
  return ("statements %.1f %%, branches %.1f %%, conditions %.1f %%, the rest in %d places by name"):format(
    share(whole.statement), share(whole.branch), share(whole.condition), #report.unreached)
end

local function built(name, ...)
  local fw = ("%s/%s"):format(work, name)
  must { tally.program, "build", tally.head, "--dialect", "msa-paper", "-o", fw, ... }
  return fw
end

local fw = built("best", "--board", tally.best)
tally.test("the demo on the best board: reached, or recorded why not", function() return explained(fw) end)

tally.test("a statement that nothing reaches is found, a call that returns something else, too", function()
  local path = fw .. "/msa_model.c"
  local text = sys.read_file(path)
  local first = "    if (status == MSA_OK && out == NULL) {\n        status = MSA_E_ARGUMENT;"
  local at = assert(text:find(first, 1, true), "msa_get_embedding is another")
  sys.write_file(path, text:sub(1, at - 1) .. "    if (s->width == 77u) {\n        return MSA_E_ORDER;\n    }\n"
    .. first:gsub("MSA_E_ARGUMENT", "MSA_E_ORDER") .. text:sub(at + #first))
  local report = measured(fw)
  local one = report.unexplained[1]
  assert(#report.unexplained == 2 and one.file == "msa_model.c" and one["function"] == "msa_get_embedding"
    and one.text == "if (s->width == 77u) {" and one.outcome == "true", listed(report.unexplained))
  assert(report.wrong and report.wrong:find("msa_get_embedding(&cover.s, NULL): expected 1, found 2", 1, true),
    report.wrong or "nothing is wrong")
end)

-- ---- front ends ----

local LINEAR = { kind = "linear", pitch = 0.3 }
local IMAGE = { width = 40, height = 30, x0 = -6, z0 = 0, dx = 0.3, dz = 0.07 }

-- An ultrasound front end with these fields beside, or in place of, what all have. false: none
local function lines(fields)
  local p = { kind = "ultrasound", format = "rf", lines = 40, samples = 90, fs = 2e7, c = 1540, ref = 100,
    dynamic_range_db = 60, geometry = LINEAR, image = IMAGE }
  for key, value in pairs(fields) do p[key] = value or nil end
  return p
end

local function fundus(fields)
  local p = { kind = "fundus", width = 37, height = 29 }
  for key, value in pairs(fields) do p[key] = value end
  return p
end

local PHASED = lines { lines = 24, samples = 64, ref = "max", decimate = 2,
  geometry = { kind = "phased", line_step_deg = 2 }, image = { width = 48, height = 24, x0 = -2, z0 = 0, dx = 0.083,
  dz = 0.125 } }
local EYE = fundus { format = "bayer", pattern = "RGGB", black = 256, white = 4095, field_of_view = { threshold = 15 },
  square = true, local_average = { sigma = 1.5 }, clahe = { clip = 2, tiles = 3, channel = "each" } }

local function front_built(name, description, board)
  local dir = ("%s/%s"):format(work, name)
  front_end.build({ frontend = description, board = board or "x86-64-avx2" }, dir, "test", function() end)
  return dir
end

tally.test("a front end alone", function() return explained(front_built("phased", PHASED)) end)

tally.deep("a front end of a fundus camera", function() return explained(front_built("eye", EYE)) end)

tally.test("a front end that goes on with a session that a hook changed is found", function()
  local dir = front_built("unheeded", fundus { format = "rgb" })
  local path = dir .. "/msa_model.c"
  local text, changed = sys.read_file(path):gsub("status != MSA_OK || !unchanged%(s%)", "status != MSA_OK")
  assert(changed == 1, "take is another")
  sys.write_file(path, text)
  local report = measured(dir)
  assert(report.wrong and report.wrong:find("with(ACT_STATE, step): expected 29, found 0", 1, true), report.wrong
    or "nothing is wrong")
end)

local FRONTS = {
  { "gain, mean, filter, persistence, gamma", lines { remove_dc = true, persistence = 0.5, gamma = 0.9,
    tgc = { { 0, 0 }, { 1, 6 } }, fir = { taps = 11, f1 = 1e6, f2 = 5e6 } } },
  { "curved, a band", lines { samples = 128, geometry = { kind = "curved", radius = 60, line_step_deg = 0.63 },
    band = { 1e6, 2e6, 5e6, 6e6 }, decimate = 4, image = { width = 61, height = 47, x0 = -9, z0 = -0.5, dx = 0.3,
    dz = 0.1 } } },
  { "IQ in floats", lines { format = "iq", type = "float32", persistence = 0.3 } },
  { "grey levels", lines { format = "prescan", type = "uint8", ref = false, dynamic_range_db = false } },
  { "few lines of 12 bits", lines { type = "int12", lines = 5 } },
  { "no picture", lines { type = "int8", geometry = false, image = false } },
  { "floats, the largest is white", lines { type = "float32", ref = "max", gamma = 0.7 } },
  { "an envelope, C for a board without vectors", lines { format = "envelope", type = "uint8", ref = "max" },
    "cortex-m7" },
  { "a picture within the fan, of whole vectors a row", lines { lines = 24, samples = 64,
    geometry = { kind = "phased", line_step_deg = 2 }, image = { width = 32, height = 8, x0 = -0.3, z0 = 1.2, dx = 0.02,
    dz = 0.02 } } },
  { "a picture of fewer columns than a vector has", lines { lines = 24, samples = 64,
    geometry = { kind = "phased", line_step_deg = 2 }, image = { width = 5, height = 8, x0 = -0.05, z0 = 1.2, dx = 0.02,
    dz = 0.02 } } },
  { "a picture as it is", fundus { format = "rgb" } },
  { "a picture in a square, equalised", fundus { format = "rgb", square = true, clahe = { clip = 2, tiles = 4 } } },
  { "a sensor of bytes", fundus { format = "bayer", type = "uint8", demosaic = "bilinear", curve = "linear",
    pattern = "GBRG", height = 40 } },
}
for i, one in ipairs(FRONTS) do
  tally.deep("a front end: " .. one[1], function() return explained(front_built("front" .. i, one[2], one[3])) end)
end

for i, one in ipairs { { "lines", lines { lines = 21, samples = 64 } }, { "a camera's picture, two cores",
  fundus { format = "rgb", field_of_view = { threshold = 15 }, square = true }, cores = 2 },
  { "a camera's picture, a guarded arena", fundus { format = "rgb", square = true }, guards = "full" } } do
  tally.deep("before a network: " .. one[1], function()
    local dir = ("%s/before%d"):format(work, i)
    require("compiler.compiler").build({ checkpoint = tally.head, dialect = "msa-paper", board = "x86-64-avx2",
      cores = one.cores, guards = one.guards, frontend = one[2] }, dir, "test", function() end)
    return explained(dir)
  end)
end

-- ---- training steps ----

local function step_of(case) return ("%s/golden-train/%s/checkpoint.pth"):format(tally.tests, case) end
local function segmented(case) return ("%s/golden/%s/checkpoint.pth"):format(tally.tests, case) end
local SMALL = step_of "msa-2023-2d"

local function step_built(name, file, ...)
  local out = ("%s/%s"):format(work, name)
  must { tally.program, "build", file, "-o", out, "--train", ... }
  return out
end

tally.test("a training step", function()
  return explained(step_built("step", SMALL, "masks", "--batch", "3", "--board", tally.best))
end)

tally.deep("a training step that adds gradients under any rounding is found", function()
  local dir = step_built("unheeded-step", SMALL, "masks", "--board", tally.best)
  local path = dir .. "/msa_train.c"
  local text, changed = sys.read_file(path):gsub("s%->state = OPENED;\n    status = check_environment%(%);",
    "s->state = OPENED;")
  assert(changed == 1, "msa_train_image_end is another")
  sys.write_file(path, text)
  local report = measured(dir)
  assert(report.wrong and report.wrong:find("status: expected 3, found 0", 1, true), report.wrong or "nothing is wrong")
end)

local STEPS = {
  { "on embeddings, three images", SMALL, "masks", "--from", "embedding", "--batch", "3", "--board", "x86-64-avx2" },
  { "encoder and decoder, two images", SMALL, "default", "--batch", "2", "--board", tally.best },
  { "two cores", SMALL, "default", "--batch", "3", "--cores", "2", "--board", "x86-64-avx2" },
  { "two cores on embeddings", SMALL, "masks", "--from", "embedding", "--cores", "2", "--board", "x86-64-avx2" },
  { "C for a board without an operating system", SMALL, "masks", "--from", "embedding", "--board", "cortex-m7" },
  { "C without vectors, under another prefix", SMALL, "default", "--board", "generic-c99", "--prefix", "eye" },
  { "a volume", step_of "msa-2023-3d", "default", "--batch", "2", "--board", "x86-64-avx2" },
  { "LoRA, Dice and cross-entropy", step_of "msa-2025-2d-lora", "default", "--dialect", "msa-2025", "--loss", "dicece",
    "--board", "x86-64-avx2" },
  { "adapters, large targets", step_of "msa-paper-2d", "default", "--dialect", "msa-paper", "--target-side", "256",
    "--board", "x86-64-avx2" },
  { "the loss of Segment Anything, five images", step_of "sam-2d-loss", "everything", "--dialect", "sam", "--loss",
    "sam", "--batch", "5", "--board", "x86-64-avx2" },
  { "part of the forward pass again", SMALL, "default", "--arena-limit", "2000000", "--board", "x86-64-avx2" },
  { "a fixed number of places", segmented "efficient-sam-2d", "masks", "--dialect", "efficient-sam", "--board",
    "x86-64-avx2" },
  { "pictures by INTER_AREA", segmented "lite-medsam-2d", "masks", "--dialect", "lite-medsam", "--board",
    "x86-64-avx2" },
  { "pictures by splines", step_of "sam-2d-loss", "decoder", "--dialect", "medsam", "--board", "x86-64-avx2" },
  { "a mask for each class", segmented "msa-2025-2d-two-class", "default", "--dialect", "msa-2025", "--classes", "2",
    "--board", "x86-64-avx2" },
}
for i, one in ipairs(STEPS) do
  tally.deep("a training step: " .. one[1], function()
    return explained(step_built("step" .. i, table.unpack(one, 2)))
  end)
end

tally.deep("a training step: texts as prompts", function()
  local out = work .. "/texts"
  local built_step, sets = require "train.built", require "train.sets"
  local model = require("train.made").model(require("import.shards").open(SMALL), { dialect = "msa-2023", text = 12 })
  built_step.write(built_step.lower(model, (sets.of(model, "masks", "test")), { board = "x86-64-avx2", batch = 2,
    from = "embedding", scores = false }), out)
  return explained(out)
end)

-- ---- other builds ----

tally.deep("without records what is not reached is said", function()
  local report = measured(built("again", "--board", tally.best), {})
  assert(#report.unexplained == #report.unreached and #report.unreached > 5, #report.unexplained)
end)

local KINDS = {
  { "C for a board without an operating system", "--board", "cortex-m7" },
  { "in int8", "--board", tally.best, "--precision", "int8" },
  { "in bf16", "--board", tally.best, "--precision", "bf16" },
  { "streamed weights", "--board", tally.best, "--weights", "stream" },
  { "two cores, another board", "--board", "x86-64-avx2", "--cores", "2" },
  { "two cores, streamed weights", "--board", tally.best, "--cores", "2", "--weights", "stream" },
  { "a guarded arena", "--board", "generic-c99", "--guards", "full" },
  { "another prefix", "--board", "x86-64-avx2", "--prefix", "eye" },
}
tally.deep("two banks", function()
  local out = work .. "/banks"
  must { tally.program, "build", "-o", out, "--dialect", "msa-paper", "--board", tally.best, "--bank",
    "head=" .. tally.head, "--bank", ("carotid=%s/demo/carotid/delta.safetensors"):format(tally.source), "--base",
    tally.head }
  return explained(out)
end)
for i, kind in ipairs(KINDS) do
  tally.deep("the demo, " .. kind[1], function() return explained(built("kind" .. i, table.unpack(kind, 2))) end)
end

for _, name in ipairs(sys.list(cases.folder)) do
  if cases.checkpoint(name) and name ~= "sam-vit-b-1024-synthetic" then
    tally.deep("golden case " .. name, function()
      local out = ("%s/%s"):format(work, name)
      must(cases.build(name, cases.read(name), tally.best, out))
      local said = explained(out)
      sys.remove_tree(out)
      return said
    end)
  end
end

tally.deep("every record has something that is not reached", function()
  local left = {}
  for _, record in ipairs(require "report.unreached") do
    if not used[record] then left[#left + 1] = record.text end
  end
  assert(#left == 0, "nothing for: " .. table.concat(left, "; "))
end)

return tally.finish()
