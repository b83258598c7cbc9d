-- SPDX-License-Identifier: Apache-2.0
-- Preparations but SAM's: which files ask for them, what the resizers give next to the public programs' pictures, and
-- builds of MedSAM's and LiteMedSAM's dialects beside the interpreter.

local spec = require "spec"
local describe, it, equal, holds, refuses = spec.describe, spec.it, spec.equal, spec.holds, spec.refuses
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local sys, npy = require "msagen.sys", require "msagen.npy"
local import, resamplers, tiny = require "import.import", require "emit.resamplers", require "tiny_model"
local preparation = require "import.preparation"

local golden = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-preparation-")
sys.cleanup(work)

local function account(name, options)
  return (import.account(checkpoint.open(golden .. name), options))
end

describe("a file of SAM's network", function()
  it("is of MedSAM where that is said, in either spelling", function()
    for _, case in ipairs { { "sam-2d/checkpoint.pth", "medsam" }, { "hf-sam-2d/model.safetensors", "hf-medsam" } } do
      local m = account(case[1], { dialect = case[2] })
      equal({ m.dialect, m.resampling, m.resize, m.normalise.kind, m.mask_from },
        { case[2], "spline", "squash", "minmax", "probabilities" })
    end
    refuses(function() account("sam-2d/checkpoint.pth", { dialect = "hf-medsam" }) end, "transformers' names",
      "sam or medsam")
  end)

  it("is of SAM-Med2D where it has adapters of convolutions; a pickled optimizer beside it is not read", function()
    local m = account "sam-med2d-2d/checkpoint.pth"
    equal({ m.dialect, m.adapters, m.image_size, m.resampling, m.normalise.kind, m.mask_square },
      { "sam-med2d", "convolutional", 256, "nearest", "imagenet255-bgr", true })
    equal(m.source.weights_key, "model")
    refuses(function() account("sam-med2d-2d/checkpoint.pth", { dialect = "sam" }) end, "adapters of convolutions")
    refuses(function() account("sam-2d/checkpoint.pth", { dialect = "sam-med2d" }) end, "adapters of convolutions")
  end)

  it("is of LiteMedSAM where its patches are embedded by convolutions of 1 x 1", function()
    local m = account "lite-medsam-2d/checkpoint.pth"
    equal({ m.dialect, m.image_size, m.patch, m.resampling, m.resize, m.normalise.kind, m.mask_from },
      { "lite-medsam", 256, 4, "area", "longest", "minmax", "logits" })
    refuses(function() account("lite-medsam-2d/checkpoint.pth", { dialect = "mobile-sam" }) end, "3 x 3", "1 x 1",
      "lite-medsam")
    refuses(function() account("mobile-sam-2d/checkpoint.pth", { dialect = "lite-medsam" }) end, "1 x 1")
  end)
end)

-- A picture of a tensor [height, width] or [height, width, 3].
local function picture(t)
  local values = t:reshape { t:numel() }:totable()
  local width, colours = t.shape[2], t.shape[3] and 3 or 1
  return function(x, y, c) return values[(y * width + x) * colours + (colours == 3 and c or 0) + 1] end, width,
    t.shape[1]
end

describe("the plain resizer", function()
  it("is scikit-image's to the byte, but where truncation drops a count of noise", function()
    for i = 0, 4 do
      local at, width, height = picture(npy.read(("%smedsam-preparation/image_%d.npy"):format(golden, i)))
      local expected = picture(npy.read(("%smedsam-preparation/image_%d.uint8.npy"):format(golden, i)))
      local found = resamplers.spline(at, width, height, 64, 64)
      local same_size = width == 64 and height == 64
      for place = 0, 64 * 64 * 3 - 1 do
        local x, y, c = place // 3 % 64, place // 192, place % 3
        local off = math.abs(found(x, y, c) - expected(x, y, c))
        assert(off == 0 or same_size and off == 1, ("image %d at %d, %d: off by %d"):format(i, x, y, off))
      end
    end
  end)

  it("works in so many bytes as the runtime says", function()
    local header = sys.read_file(msagen.datadir .. "/runtime/msa_runtime.h")
    for name, how in pairs(preparation.resamplings) do
      assert(not how.macro or header:find("define " .. how.macro .. "(side)", 1, true), name)
      assert(sys.exists(("%s/runtime/%s.c"):format(msagen.datadir, how.file)), name)
    end
  end)
end)

-- Images that shrink, grow and do both, of which a build must make what the interpreter makes.
local function image(width, height)
  local bytes, state = {}, 7
  for i = 1, width * height * 3 do
    state = state * 48271 % 2147483647
    bytes[i] = string.char(state >> 13 & 127)
  end
  local path = ("%s/%dx%d.npy"):format(work, width, height)
  npy.write(path, { dtype = "u8", shape = { height, width, 3 }, bytes = table.concat(bytes) })
  return path
end

local function digest(words) return assert(tiny.must(words):match "digest (%x+)", "no digest") end

describe("a build", function()
  local boards = tiny.boards()
  local best = boards[#boards].name
  for _, case in ipairs { { "sam-2d", "medsam", {} }, { "sam-med2d-2d", "sam-med2d", { "--cores", "2" } },
    { "lite-medsam-2d", "lite-medsam", { "--resolution", "64", "--cores", "3", "--weights", "stream" } } } do
    local way = table.concat(case[3], " ")
    it(("of %s has the interpreter's digest on %s %s"):format(case[2], best, way), function()
      if not spec.compiles() then return end
      local file, fw = golden .. case[1] .. "/checkpoint.pth", ("%s/%s%s"):format(work, case[2], #case[3])
      local options = table.move(case[3], 1, #case[3], 4, { file, "--dialect", case[2] })
      tiny.must { tiny.program(), "build", "-o", fw, "--board", best, table.unpack(options) }
      tiny.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
      for _, size in ipairs { { 90, 130 }, { 33, 20 } } do
        local prompt = { "--image", image(size[1], size[2]), "--box", "3,4,25,17", "--digest" }
        local found = digest { tiny.program(), "run", fw, table.unpack(prompt) }
        local words = table.move(options, 1, #options, #prompt + 1, prompt)
        equal(found, digest { tiny.program(), "interpret", "--board", best, table.unpack(words) })
      end
    end)
  end

  it("asks for several masks where its program does, unless it is told otherwise", function()
    if not spec.compiles() then return end
    local function masks(dialect, ...)
      local said = tiny.must { tiny.program(), "run", ("%s/%s%d"):format(work, dialect, dialect == "medsam" and 0 or 2),
        "--image", image(90, 130), "--point", "20,30", ... }
      return math.tointeger(tonumber(said:match "prompt 0: (%d+) mask")), said
    end
    local count, said = masks "sam-med2d"
    equal(count, 3)
    holds(said, "highest predicted IoU", ": mask ")
    equal({ masks("sam-med2d", "--one-mask"), (masks("sam-med2d", "--multimask")) }, { 1, 3 })
    equal({ (masks "medsam"), (masks("medsam", "--multimask")) }, { 1, 3 })
    local ok, problem = pcall(masks, "medsam", "--multimask", "--one-mask")
    equal(ok, false)
    holds(problem, "--one-mask: expected without --multimask, found both")
  end)

  it("of two files of SAM-Med2D as banks has the digest of each by itself", function()
    if not spec.compiles() then return end
    local shape = { resolution = 64, dim = 32, blocks = 2, heads = 2, global = { 1 }, out = 32, decoder_mlp = 64 }
    local files, options = {}, { "--dialect", "sam-med2d", "--global-blocks", "1", "--board", best }
    for i = 1, 2 do
      files[i] = ("%s/bank_%d.safetensors"):format(work, i)
      require "msagen.synth".write(files[i], require "networks.synth".tensors(shape, "sam-med2d"), i)
    end
    local fw, prompt = work .. "/banks", { "--image", image(33, 20), "--point", "20,10", "--digest" }
    tiny.must { tiny.program(), "build", "-o", fw, "--bank", "a=" .. files[1], "--bank", "b=" .. files[2],
      table.unpack(options) }
    tiny.must { "make", "-j2", "-C", fw, "CFLAGS=-O0" }
    local seen = {}
    for i, bank in ipairs { "a", "b" } do
      local found = digest { tiny.program(), "run", fw, "--bank", bank, table.unpack(prompt) }
      local words = table.move(options, 1, #options, #prompt + 1, table.move(prompt, 1, #prompt, 1, {}))
      equal(found, digest { tiny.program(), "interpret", files[i], table.unpack(words) })
      assert(not seen[found])
      seen[found] = true
    end
  end)
end)
