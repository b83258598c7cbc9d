-- SPDX-License-Identifier: Apache-2.0
-- `run`: when make is called; outputs; a volume from end to end on a made-up model
-- (tests/c/fake: its logits are the red of a patch less 0.5 and a tenth for each mask).

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, npy, tensor = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor"
if not (sys and npy and tensor) then return end

local folder, staging, verb = require "run.folder", require "run.staging", require "cli.verbs.run"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-run-")
sys.cleanup(work)

local function file(name, bytes)
  sys.write_file(work .. "/" .. name, bytes)
  return work .. "/" .. name
end

describe("outputs", function()
  it("appear together or not at all", function()
    local out = work .. "/out"
    sys.mkdir_p(out)
    local s = staging.new()
    local a, b = s:file(out .. "/a"), s:file(out .. "/new/folder/b")
    sys.write_file(a, "A")
    sys.write_file(b, "B")
    equal(sys.exists(out .. "/a") or sys.exists(out .. "/new"), false)
    equal(s:renamed(("%s: cannot be written"):format(b)), out .. "/new/folder/b: cannot be written")
    s:commit()
    s:close()
    equal({ sys.read_file(out .. "/a"), sys.read_file(out .. "/new/folder/b"), #sys.list(out) }, { "A", "B", 2 })
    s = staging.new()
    sys.write_file(s:file(out .. "/a"), "C")
    s:close()
    equal({ sys.read_file(out .. "/a"), #sys.list(out) }, { "A", 2 })
  end)

  it("are refused before the work", function()
    refuses(function() staging.new():file(work .. "/out") end, "found a folder")
    refuses(function() staging.new():file(work .. "/out/a/b") end, "no folder")
    refuses(function() staging.new():file("/proc/x") end, "/proc/x: cannot be written")
    refuses(function() staging.new():file("/dev/null") end, "/dev/null")
  end)
end)

local fake = require "fake_folder"
local trust = fake.trust
local function fake_folder(name, depth) return fake.make(work .. "/" .. name, depth) end

--- The verb as the command line calls it. @param warned what it warned of is wanted, too  @return what it printed
local function run(dir, args, warned)
  local printed, say, err = {}, print, io.stderr
  print = function(...) printed[#printed + 1] = table.concat({ ... }, "\t") end
  if warned then io.stderr = { write = function(_, ...) printed[#printed + 1] = table.concat { ... } end } end
  args.dir, args.point = dir, args.point or {}
  local ok, status = pcall(verb.run, args)
  print, io.stderr = say, err
  if not ok then error(status, 0) end
  equal(status, 0)
  return table.concat(printed, "\n")
end

local function counted(path) return select(2, sys.read_file(path .. "/made"):gsub("\n", "")) end

describe("a folder", function()
  local path = fake_folder("flat", 1)
  local image = work .. "/image.npy"
  -- The left half black, the right half red.
  npy.write(image, tensor.frombytes((("\0\0\0"):rep(40) .. ("\200\0\0"):rep(40)):rep(20), "u8", { 20, 80, 3 }))

  it("is compiled when something is missing or older, and never otherwise", function()
    equal(folder.open(path):stale(), true)
    holds(run(path, { image = image, box = { 0, 0, 80, 20 } }), "prompt 0: 1 mask, highest predicted IoU 0.5000")
    run(path, { image = image })
    equal(counted(path), 1)
    for count, touched in ipairs { "layers.c", "msa_model.h", "Makefile" } do
      equal(sys.spawn { "touch", path .. "/" .. touched }, 0)
      equal(folder.open(path):stale(), true, touched)
      run(path, { image = image })
      equal(counted(path), 1 + count, touched)
    end
    sys.remove_tree(path .. "/layers.o")
    run(path, { image = image })
    equal(counted(path), 5)
    equal(folder.open(path):stale(), false)
  end)

  it("that does not compile is an error of one line", function()
    local source = path .. "/layers.c"
    local text, make = sys.read_file(source), sys.read_file(path .. "/Makefile")
    sys.write_file(source, "#error on purpose\n")
    trust(path)
    refuses(function() run(path, { image = image }) end, path, "make", "on purpose")
    sys.write_file(source, text)
    for recipe, words in pairs { ["no-such-gcc "] = { "exit status 2: ", "no-such-gcc: " },
      ['echo "x.o: No space left on device"; false '] = { "no room on the disk of ", "MiB free): make room",
        "x.o: No space left on device" } } do
      sys.write_file(path .. "/Makefile", (make:gsub("\tgcc ", "\t" .. recipe)))
      trust(path)
      refuses(function() run(path, { image = image }) end, path, "make", table.unpack(words))
    end
    sys.write_file(path .. "/Makefile", make)
    trust(path)
    run(path, { image = image })
  end)

  it("whose files are not what msagen wrote is refused, unless it is asked for", function()
    local source, before = path .. "/layers.c", counted(path)
    local text = sys.read_file(source)
    sys.write_file(source, text .. "/* changed */\n")
    equal(sys.spawn { "touch", "-d", "2000-01-01", source }, 0)
    refuses(function()
      run(path, { image = image })
    end, path .. "/layers.c: expected what msagen wrote, of SHA-256 ", "found other bytes: build the folder again",
      "--modified")
    equal(counted(path), before)
    local warned = run(path, { image = image, modified = true }, true)
    holds(warned, path .. "/layers.c: not what msagen wrote")
    equal(counted(path), before + 1) -- for all its date
    sys.write_file(source, text)
    equal(sys.spawn { "touch", "-d", "2000-01-01", source }, 0)
    -- the object is of the other text
    holds(run(path, { image = image }, true), path .. "/layers.c: it changed since it was compiled")
    equal(counted(path), before + 2)
    os.remove(source)
    refuses(function()
      run(path, { image = image, modified = true })
    end, path .. "/layers.c: expected what msagen wrote", "found no such file: build the folder again")
    sys.write_file(source, text)
    run(path, { image = image })
  end)

  it("is compiled again where an object or the runner is another folder's, and not where it is copied", function()
    for _, name in ipairs { "layers.o", "runner/msa_run" } do
      local before = counted(path)
      sys.write_file(path .. "/" .. name, "foreign")
      holds(run(path, { image = image }, true), ("%s/%s: it changed since it was compiled"):format(path, name))
      equal(counted(path), before + 1)
    end
    -- Compiled by hand: nothing is noted, and nothing is known but the dates.
    os.remove(path .. "/runner/msa_run.sums")
    local before = counted(path)
    run(path, { image = image })
    equal({ counted(path), sys.exists(path .. "/runner/msa_run.sums") }, { before, true })
    -- A runner of another build that says so.
    local manifest = path .. "/manifest.json"
    local m = sys.read_file(manifest)
    sys.write_file(manifest, (m:gsub("^{", '{"build":"' .. ("0123456789abcdef"):rep(4) .. '",')))
    os.remove(path .. "/runner/msa_run.sums")
    holds(run(path, { image = image }, true), path .. "/runner/msa_run: it was compiled from another build")
    equal(counted(path), before + 1)
    sys.write_file(manifest, m)
  end)

  it("whose program cannot be started is an error that names emulator or board", function()
    local manifest = path .. "/manifest.json"
    local text = sys.read_file(manifest)
    sys.write_file(manifest,
      (text:gsub("^{", '{"board":"toaster","hosted":true,"requires":["toast"],"emulator":["no-such-qemu"],')))
    refuses(function()
      run(path, { image = image })
    end, path .. ": expected the emulator of toaster, found no no-such-qemu that can be started")
    local before = counted(path)
    local toaster = '{"board":"toaster","hosted":true,"requires":["toast"],'
    for json, words in pairs { [toaster] = "with an emulator, or one of this CPU, found toaster",
      ['{"board":"toaster","hosted":false,"emulator":null,'] = "with an emulator, found toaster" } do
      sys.write_file(manifest, (text:gsub("^{", json)))
      os.remove(path .. "/layers.o")
      refuses(function() run(path, { image = image }) end, path .. ": expected a board " .. words)
      equal(sys.exists(path .. "/layers.o"), false) -- and nothing was compiled for it
    end
    sys.write_file(manifest, text)
    run(path, { image = image })
    equal(counted(path), before + 1)
    -- Another machine's program, though nothing in the manifest says so.
    sys.write_file(path .. "/runner/msa_run", "\127ELF" .. ("\0"):rep(60))
    sys.chmod(path .. "/runner/msa_run", 493)
    os.remove(path .. "/runner/msa_run.sums")
    refuses(function()
      run(path, { image = image })
    end, path .. ": expected a board with an emulator, or one of this CPU, found nil")
    os.remove(path .. "/runner/msa_run")
    run(path, { image = image })
  end)

  it("gives masks at the image's size, of the highest predicted IoU", function()
    local got, mask, up, resized = work .. "/got", work .. "/mask.png", work .. "/up.npy", work .. "/resized.npy"
    local text = run(path, { image = image, point = { { 70, 10 }, { 5, 5, 0 } }, multimask = true, out = got,
      mask_out = mask, upsampled_out = up, resized_out = resized,
      overlay_out = work .. "/overlay.png" })
    holds(text, "3 masks", "0.8000")
    local m = require("msagen.image").read(mask)
    equal(m.shape, { 20, 80, 3 })
    equal({ m:get(10, 10, 0), m:get(10, 70, 0), m:get(0, 0, 1), m:get(19, 79, 2) }, { 0, 255, 0, 255 })
    local logits = npy.read(got .. "/prompt_0.logits.npy")
    equal({ logits.shape, npy.read(got .. "/prompt_0.iou.npy").shape, npy.read(got .. "/embedding.npy").shape },
      { { 1, 3, 16, 16 }, { 1, 3 }, { 1, 6, 4, 4 } })
    equal(math.abs(logits:get(0, 2, 0, 15) - (200 - 0.8)) < 1e-3, true)
    local large = npy.read(up)
    equal(large.shape, { 1, 3, 20, 80 })
    equal(large:get(0, 1, 0, 0), logits:get(0, 1, 0, 0))
    equal(math.abs(large:get(0, 1, 19, 79) - logits:get(0, 1, 15, 15)) < 1e-4, true)
    local r = npy.read(resized)
    equal({ r.shape, r.dtype, r:get(0, 63, 63, 0), r:get(0, 0, 0, 0), r:get(0, 0, 63, 1) },
      { { 1, 64, 64, 3 }, "u8", 200, 0, 0 })
    equal(require("msagen.image").read(work .. "/overlay.png").shape, { 12 * 20, 12 * 80, 3 }) -- enlarged
  end)

  it("prints the digest of embedding and logits, and the bench's lines", function()
    local got = work .. "/digest"
    local list = file("two.json", '[{"box":[1,2,3,4]},{"points":[[1,2]],"labels":[1],"multimask":true}]')
    local text = run(path, { image = image, prompts = list, out = got, digest = true })
    local bytes = ""
    for _, name in ipairs { "embedding", "prompt_0.logits", "prompt_1.logits" } do
      bytes = bytes .. npy.read(("%s/%s.npy"):format(got, name)):tobytes()
    end
    equal(text, "digest " .. require("msagen.sha256").hex(bytes))
    equal(run(path, { image = image, prompts = list, digest = true }), text)
    equal(run(path, { bench = 3 }):gsub("%d+%.%d+", "T"),
      "encode_ms T\ndecode_ms T\narena_bytes 320000\nweights_bytes 832\nmacs_encode 1\nmacs_decode 2")
  end)

  it("says that times under an emulator are not the board's", function()
    local manifest = path .. "/manifest.json"
    local text = sys.read_file(manifest)
    sys.write_file(manifest,
      (text:gsub("^{", '{"board":"toaster","hosted":true,"requires":["toast"],"emulator":["env"],')))
    holds(run(path, { bench = 1 }), "encode_ms ", "macs_decode 2\nemulated by env: times are not the board's")
    sys.write_file(manifest, text)
    equal(run(path, { bench = 1 }):find("emulated", 1, true), nil)
  end)

  it("is not profiled where its layers are not the manifest's", function()
    local before = sys.list(work)
    refuses(function() run(path, { profile = work }) end, work, "found a folder")
    refuses(function() run(path, { profile = "/proc/profile.json" }) end, "/proc/profile.json: cannot be written")
    local manifest = path .. "/manifest.json"
    local text = sys.read_file(manifest)
    sys.write_file(manifest, (text:gsub('"macs":2', '"macs":-2')))
    refuses(function()
      run(path, { profile = work .. "/profile.json" })
    end, manifest, "macs of layer 2", "build the folder again")
    sys.write_file(manifest, text)
    equal(sys.list(work), before)
  end)

  it("takes a phrase as a prompt", function()
    holds(run(path, { image = image, text = "left kidney" }), "prompt 0: 1 mask, highest predicted IoU 0.5000")
    holds(run(path, { image = image, prompts = file("text.json", '[{"text":"liver"}]') }), "0.5000")
    refuses(function()
      run(path, { image = image, text = "spleen" })
    end, "--text: expected one of liver, left kidney, found spleen")
  end)

  it("has banks", function()
    holds(run(path, { image = image, box = { 0, 0, 80, 20 }, bank = "carotid" }), "highest predicted IoU 1.5000")
    holds(run(path, { image = image, box = { 0, 0, 80, 20 }, bank = "head" }), "highest predicted IoU 0.5000")
    refuses(function()
      run(path, { image = image, bank = "thyroid" })
    end, "--bank: expected one of head, carotid, found thyroid")
  end)

  it("says in one line what the runner refuses, and leaves nothing", function()
    local before = sys.list(work)
    local weights = path .. "/msa_weights.bin"
    local bytes = sys.read_file(weights)
    sys.write_file(weights, bytes:sub(1, 60) .. "x" .. bytes:sub(62))
    refuses(function()
      run(path, { image = image, box = { 1, 1, 2, 2 }, mask_out = work .. "/never.png" })
    end, "msa_weights.bin: header", "another build")
    sys.write_file(weights, bytes)
    npy.write(work .. "/image.npy", tensor.frombytes(("\1\0\0"):rep(4096), "u8", { 64, 64, 3 }))
    equal(sys.list(work), before)
  end)

  it("that another version built is refused", function()
    local source = path .. "/runner/msa_run.c"
    local text = sys.read_file(source)
    sys.write_file(source, (text:gsub("'R', 'U', 'N', '%d'", "'R', 'U', 'N', '0'")))
    trust(path)
    refuses(function() run(path, { image = image }) end, path, "this version of msagen")
    sys.write_file(source, text)
    trust(path)
    run(path, { image = image })
  end)

  it("whose test bench lies among the product's files, as it once did, is refused", function()
    local manifest = path .. "/manifest.json"
    local text = sys.read_file(manifest)
    sys.write_file(manifest, (text:gsub("runner\\?/", "")))
    refuses(function() folder.open(path) end, "this version of msagen built, found another's: build it again")
    sys.write_file(manifest, text)
  end)

  it("of another kind is refused", function()
    refuses(function() folder.open(work .. "/absent") end, "absent", "found nothing")
    refuses(function() folder.open(image) end, "image.npy", "found a file")
    refuses(function() folder.open(work) end, "manifest.json")
    sys.mkdir_p(work .. "/other")
    sys.write_file(work .. "/other/manifest.json", '{"generator":"another"}')
    refuses(function() folder.open(work .. "/other") end, "manifest.json")
    sys.write_file(work .. "/other/manifest.json", '{"generator":"msagen","runner":"../../bin/sh"}')
    refuses(function() folder.open(work .. "/other") end, "arena_bytes")
  end)
end)

describe("a volume", function()
  local path = fake_folder("volume", 3)
  local image = work .. "/volume.npy"
  local slices = {}
  for d = 0, 2 do slices[d + 1] = (string.char(d * 100) .. "\0\0"):rep(30 * 20) end
  npy.write(image, tensor.frombytes(table.concat(slices), "u8", { 3, 20, 30, 3 }))

  it("has a mask a slice, in an NPY, and a sheet of overlays", function()
    local got, mask = work .. "/volume.got", work .. "/volume.mask.npy"
    local list = file("volume.json", '[{"points":[[[1,2]],[[3,4]],[[5,6]]],"labels":[[1],[0],[1]],"multimask":true}]')
    local text = run(path, { image = image, prompts = list, out = got, mask_out = mask,
      overlay_out = work .. "/sheet.png" })
    holds(text, "3 masks", "0.8000 0.8000 0.8000")
    equal({ npy.read(got .. "/embedding.npy").shape, npy.read(got .. "/prompt_0.logits.npy").shape,
      npy.read(got .. "/prompt_0.iou.npy").shape },
      { { 3, 6, 4, 4 }, { 3, 3, 16, 16 }, { 3, 3 } })
    local m = npy.read(mask)
    equal({ m.shape, m.dtype, m:get(0, 10, 10), m:get(1, 10, 10), m:get(2, 19, 29) },
      { { 3, 20, 30 }, "u8", 0, 255, 255 })
    equal(require("msagen.image").read(work .. "/sheet.png").shape, { 25 * 40, 25 * 60, 3 })
  end)

  it("is refused where the slices do not fit", function()
    npy.write(work .. "/two.npy", tensor.frombytes(("\0"):rep(2 * 30 * 20 * 3), "u8", { 2, 20, 30, 3 }))
    refuses(function() run(path, { image = work .. "/two.npy" }) end, "two.npy", "3 slices", "found 2")
    npy.write(work .. "/flat.npy", tensor.frombytes(("\0"):rep(30 * 20 * 3), "u8", { 20, 30, 3 }))
    refuses(function() run(path, { image = work .. "/flat.npy" }) end, "[N,H,W,3]", "3 slices", "[20,30,3]")
    refuses(function()
      run(path, { image = image, box = { 1, 1, 2, 2 }, mask_out = work .. "/volume.png" })
    end, "NPY", "volume.png")
  end)
end)

describe("a volume of more slices than the depth", function()
  local path, flat_path = work .. "/volume", work .. "/flat"
  -- Red 20 d; the made-up model's logits are that less 0.5 and a tenth a mask, its channel 5 the slice within the
  -- piece.
  local function slices(from, count)
    local list = {}
    for d = from, from + count - 1 do list[#list + 1] = (string.char(d * 20) .. "\0\0"):rep(30 * 20) end
    local name = ("%s/slices_%d_%d.npy"):format(work, from, count)
    npy.write(name, tensor.frombytes(table.concat(list), "u8", { count, 20, 30, 3 }))
    return name
  end
  local function prompt_of(from, count)
    local points, labels = {}, {}
    for d = from, from + count - 1 do
      points[#points + 1], labels[#labels + 1] = ("[[%d,1]]"):format(d), "[1]"
    end
    return file("subvolumes.json",
      ('[{"box":[1,2,3,4],"multimask":true},{"points":[%s],"labels":[%s]}]'):format(table.concat(points, ","),
      table.concat(labels, ",")))
  end

  it("is not profiled where the runner has more layers than the manifest", function()
    -- The made-up layers are numbered by their slices.
    refuses(function()
      run(path, { profile = work .. "/profile.json" })
    end, path, "expected 1 and 1 layers", "found more")
    equal(sys.exists(work .. "/profile.json"), false)
  end)

  it("is run in subvolumes, the last of which ends with it", function()
    local got, one = work .. "/subvolumes", work .. "/subvolume"
    local args = { image = slices(0, 8), prompts = prompt_of(0, 8), out = got, mask_out = got .. "/mask.npy",
      upsampled_out = got .. "/up.npy", resized_out = got .. "/resized.npy",
      overlay_out = got .. "/sheet.png", digest = true }
    local digest = run(path, args)
    local names = { embedding = { 8, 6, 4, 4 }, ["prompt_0.logits"] = { 8, 3, 16, 16 }, ["prompt_0.iou"] = { 8, 3 },
      ["prompt_1.logits"] = { 8, 1, 16, 16 }, ["prompt_1.iou"] = { 8, 1 },
      mask = { 8, 20, 30 }, up = { 8, 3, 20, 30 }, resized = { 8, 64, 64, 3 } }
    local bytes = ""
    for _, name in ipairs { "embedding", "prompt_0.logits", "prompt_1.logits" } do
      bytes = bytes .. npy.read(("%s/%s.npy"):format(got, name)):tobytes()
    end
    equal(digest, "digest " .. require("msagen.sha256").hex(bytes))
    for _, piece in ipairs { { first = 0, keep = 3 }, { first = 3, keep = 2 }, { first = 5, keep = 3 } } do
      run(path, { image = slices(piece.first, 3), prompts = prompt_of(piece.first, 3), out = one,
        mask_out = one .. "/mask.npy", upsampled_out = one .. "/up.npy",
        resized_out = one .. "/resized.npy" })
      for name, shape in pairs(names) do
        local whole, part = npy.read(("%s/%s.npy"):format(got, name)), npy.read(("%s/%s.npy"):format(one, name))
        equal(whole.shape, shape, name)
        equal(whole:slice(1, piece.first, piece.keep):equal(part:slice(1, 0, piece.keep)), true,
          ("%s from slice %d"):format(name, piece.first))
      end
    end
    equal(require("msagen.image").read(got .. "/sheet.png").shape, { 22 * 60, 22 * 90, 3 })
  end)

  it("has as many subvolumes as slices where the model is flat", function()
    local got = work .. "/flat.subvolumes"
    local text = run(flat_path, { image = slices(0, 3), prompts = prompt_of(0, 3), out = got,
      mask_out = got .. "/mask.npy" })
    local all = text:match "prompt 0: 3 masks, highest predicted IoU 0%.8000 0%.8000 0%.8000: ([^\n]+)"
    equal(select(2, (all or ""):gsub("mask %d of 0%.%d+ 0%.%d+ 0%.%d+", "")), 3, text)
    for taken, scores in all:gmatch "mask (%d) of ([%d. ]+)" do
      local list = {}
      for score in scores:gmatch "%S+" do list[#list + 1] = score end
      equal(list[taken + 1], "0.8000")
    end
    holds(text, "prompt 1: 1 mask")
    local logits = npy.read(got .. "/prompt_1.logits.npy")
    equal({ logits.shape, logits:get(0, 0, 0, 0), logits:get(2, 0, 15, 15), npy.read(got .. "/mask.npy").shape },
      { { 3, 1, 16, 16 }, -0.5, 39.5, { 3, 20, 30 } })
    refuses(function()
      run(flat_path, { image = slices(0, 3), box = { 1, 1, 2, 2 }, mask_out = work .. "/three.png" })
    end, "NPY", "three.png")
  end)

  it("has no overlay that is larger than a picture may be", function()
    local image = work .. "/long.npy"
    npy.write(image, tensor.frombytes(("\0"):rep(5 * 3 * 6000), "u8", { 5, 1, 6000, 3 }))
    refuses(function()
      run(flat_path, { image = image, box = { 1, 0, 2, 1 }, overlay_out = work .. "/long.png" })
    end, "long.png", "16384", "5 slices of 6000x1")
  end)
end)

describe("files of results", function()
  local path, image, here = work .. "/flat", work .. "/half.npy", work .. "/results"
  npy.write(image, tensor.frombytes((("\0\0\0"):rep(40) .. ("\200\0\0"):rep(40)):rep(20), "u8", { 20, 80, 3 }))
  sys.mkdir_p(here)
  local function link(kind, from, to) equal(sys.spawn { "ln", kind, from, to }, 0) end
  local function asked(args)
    args.image, args.point = args.image or image, { { 70, 10 } }
    return run(path, args)
  end
  local function refused(args, ...)
    local texts = { ... }
    local function state()
      local status, listed = sys.spawn { "find", here, "-printf", "%p %s %i %l\n", stdout = "capture" }
      equal(status, 0)
      return listed
    end
    local before = state()
    refuses(function() asked(args) end, table.unpack(texts))
    equal(state(), before)
  end

  it("are named by their endings", function()
    for _, name in ipairs { "m.jpg", "m", "hip.mha.gz", "m.npz", "m.png.bak", ".png~" } do
      refused({ mask_out = here .. "/" .. name }, "--mask-out", name, "ends in .png, .npy, .nii or .nii.gz")
    end
    for field, name in pairs { overlay_out = "o.npy", resized_out = "r.png", upsampled_out = "u.png",
      profile = "p.txt" } do
      refused({ [field] = here .. "/" .. name }, "--" .. field:gsub("_", "-"), name, "ends in ")
    end
    refused({ mask_out = "" }, "--mask-out", "found an empty text")
    for _, name in ipairs { "-", "", ".", here .. "/", here } do
      refused({ mask_out = name }, "--mask-out", "expected the name of a file")
    end
    refused({ mask_out = "/dev/null" }, "--mask-out /dev/null", "device")
    asked { mask_out = here .. "/M.NPY" }
    local mask = npy.read(here .. "/M.NPY")
    equal({ mask.shape, mask.dtype, mask:get(10, 70), mask:get(10, 10) }, { { 20, 80 }, "u8", 255, 0 })
    sys.remove_tree(here .. "/M.NPY")
  end)

  it("are masks on a NIfTI volume's own grid, whichever slices were asked for", function()
    local scans, nifti = require "scans.scan", require "scans.nifti"
    local volume = here .. "/volume.nii"
    local values = (("\0"):rep(40) .. ("\200"):rep(40)):rep(3 * 20) -- of each slice the right half is bright
    nifti.write(volume, tensor.frombytes(values, "u8", { 3, 20, 80 }),
      { place = { affine = { { -1.0, 0, 0, 5 }, { 0, 2.0, 0, 6 }, { 0, 0, 3.0, 7 } }, shape = { 80, 20, 3 },
        axes = { { axis = 3 }, { axis = 2 }, { axis = 1 } } } }, true, false)
    local function masked(options)
      local args = { image = volume, mask_out = here .. "/m.nii.gz" }
      for key, value in pairs(options) do args[key] = value end
      asked(args)
      return scans.read(here .. "/m.nii.gz")
    end
    local all, one = masked {}, masked { slice = 1 }
    equal({ all.values.shape, all.place.affine }, { { 3, 20, 80 }, scans.read(volume).place.affine })
    equal({ all.values:get(0, 10, 70), all.values:get(0, 10, 10), one.values:get(0, 10, 70),
      one.values:get(1, 10, 70) }, { 1, 0, 0, 1 })
    refused({ image = volume, mask_out = here .. "/m.png" }, "--mask-out", ".npy, .nii or .nii.gz")
    asked { image = volume, slice = 2, mask_out = here .. "/m.png" }
    equal(require("msagen.image").read(here .. "/m.png").shape, { 20, 80, 3 })
    for _, name in ipairs { "volume.nii", "m.nii.gz", "m.png" } do sys.remove_tree(here .. "/" .. name) end
  end)

  it("are none that the run reads, whatever their names", function()
    npy.write(here .. "/logits.npy", tensor.zeros({ 16, 16 }, "f32"))
    link("-s", image, here .. "/link.npy")
    link("-P", image, here .. "/hard.npy")
    refused({ resized_out = image }, "--resized-out", "--image")
    refused({ upsampled_out = here .. "/link.npy" }, "link.npy", "--image")
    refused({ upsampled_out = here .. "/hard.npy" }, "hard.npy", "--image")
    refused({ mask_in = here .. "/logits.npy", resized_out = here .. "/./logits.npy" }, "logits.npy", "--mask-in")
    link("-s", "nowhere.npy", here .. "/dangling.npy")
    refused({ resized_out = here .. "/dangling.npy" }, "dangling.npy", "nowhere")
  end)

  it("are none that the build made", function()
    refused({ profile = path .. "/manifest.json" }, "manifest.json", "the build made")
    link("-s", path .. "/layers.c", here .. "/layers.png")
    refused({ mask_out = here .. "/layers.png" }, "layers.png", "the build made")
    refused({ out = path }, "--out", "the build made")
    sys.remove_tree(here .. "/layers.png")
    local object = require "run.made".products(folder.open(path))[1]
    link("-s", path .. "/" .. object, here .. "/object.png")
    link("-P", path .. "/" .. object, here .. "/object.npy")
    refused({ mask_out = here .. "/object.png" }, "object.png", "the build made")
    refused({ upsampled_out = here .. "/object.npy" }, "object.npy", "the build made")
    sys.remove_tree(here .. "/object.png")
    sys.remove_tree(here .. "/object.npy")
  end)

  it("are each one of its own", function()
    sys.mkdir_p(here .. "/sub")
    link("-s", "sub", here .. "/alias")
    refused({ mask_out = here .. "/a.png", overlay_out = here .. "/./a.png" }, "--overlay-out", "that of --mask-out")
    refused({ mask_out = here .. "/sub/a.png", overlay_out = here .. "/alias/a.png" }, "--overlay-out",
      "that of --mask-out")
    refused({ resized_out = here .. "/new/a.npy", upsampled_out = here .. "/new/x/../a.npy" }, "--upsampled-out",
      "that of --resized-out")
    refused({ out = here .. "/r", upsampled_out = here .. "/r/prompt_7.iou.npy" }, "--upsampled-out", "--out")
    refused({ out = here .. "/r", upsampled_out = here .. "/r/deep/u.npy" }, "--upsampled-out", "in a folder of it")
    refused({ out = here .. "/r.npy", upsampled_out = here .. "/r.npy" }, "--upsampled-out", "--out")
  end)

  it("leave a link to a file a link", function()
    file("results/real.png", "old")
    link("-s", "real.png", here .. "/to.png")
    asked { mask_out = here .. "/to.png" }
    equal({ sys.readlink(here .. "/to.png"), sys.read_file(here .. "/real.png"):sub(2, 4) }, { "real.png", "PNG" })
  end)

  local three = '[{"points":[[1,1]],"labels":[1]},{"points":[[2,2]],"labels":[1]},{"points":[[3,3]],"labels":[1]}]'
  local one = { "embedding.npy", "prompt_0.iou.npy", "prompt_0.logits.npy", "run.json" }

  it("in one folder are those of one run", function()
    local out = here .. "/out"
    run(path, { image = image, prompts = file("three.json", three), out = out, mask_out = out .. "/mask.png",
      overlay_out = out .. "/over.png" })
    equal(#sys.list(out), 10)
    asked { out = out }
    equal(sys.list(out), one)
    -- As versions before left them: no note, known names.
    sys.remove_tree(out .. "/run.json")
    file("results/out/prompt_5.logits.npy", "old")
    asked { out = out }
    equal(sys.list(out), one)
    link("-s", "out", here .. "/outlink")
    run(path, { image = image, prompts = work .. "/three.json", out = here .. "/outlink" })
    equal({ #sys.list(out), sys.readlink(here .. "/outlink") }, { 8, "out" })
  end)

  it("leave a folder of other files alone", function()
    local out = here .. "/out"
    file("results/out/letter.txt", "dear reader")
    refused({ out = out }, "--out", "letter.txt in it")
    refused({ out = here }, "--out", "in it")
    sys.remove_tree(out .. "/letter.txt")
    file("results/out/run.json", '{"generator":"another"}')
    refused({ out = out }, "--out", "another run.json")
    file("results/out/run.json", '{"generator":"msagen run","files":["run.json","letter.txt"]}')
    refused({ out = out, mask_in = out .. "/prompt_0.logits.npy" }, "--out", "prompt_0.logits.npy")
    file("results/out/letter.txt", "written by a run")
    asked { out = out }
    equal(sys.list(out), one)
  end)

  it("are not replaced where the run fails", function()
    local weights = path .. "/msa_weights.bin"
    local bytes = sys.read_file(weights)
    sys.write_file(weights, bytes:sub(1, 60) .. "x" .. bytes:sub(62))
    refused({ out = here .. "/out", mask_out = here .. "/real.png" }, "msa_weights.bin")
    sys.write_file(weights, bytes)
  end)

  it("go into a mount, from where no file is renamed to its surroundings", function()
    local mount = here .. "/mount"
    sys.mkdir_p(mount)
    local ok, status = pcall(sys.spawn, { "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount, stdout = "/dev/null",
      stderr = "/dev/null" })
    local mounted = ok and status == 0
    local done, message = pcall(function()
      run(path, { image = image, prompts = work .. "/three.json", out = mount })
      asked { out = mount }
      equal(sys.list(mount), one)
    end)
    if mounted then equal(sys.spawn { "umount", mount }, 0) end
    if not done then error(message, 0) end
  end)

  it("go into the current folder file by file", function()
    local out = here .. "/out"
    local status, output = sys.spawn { require("tiny_model").program(), "run", path, "--image", image, "--prompts",
      work .. "/three.json", "--out", ".", cwd = out,
      stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    equal({ status, #sys.list(out) }, { 0, 8 }, output)
  end)
end)

describe("a run without a prompt", function()
  it("says that it encoded", function()
    holds(run(work .. "/flat", { image = work .. "/half.npy" }), "half.npy: encoded, 80x20; no prompt")
  end)
end)

describe("refinement", function()
  local path, image, truth, mask = work .. "/flat", work .. "/half.npy", work .. "/truth.png", work .. "/refined.png"
  npy.write(image, tensor.frombytes((("\0\0\0"):rep(40) .. ("\200\0\0"):rep(40)):rep(20), "u8", { 20, 80, 3 }))
  local png = require("msagen.image")
  local function write_truth(row, width, height)
    png.write_png(truth, tensor.frombytes(row:rep(height or 20), "u8", { height or 20, width or 80 }))
  end
  -- More than is red; 127 is outside.
  write_truth(("\127"):rep(10) .. ("\128"):rep(70))

  local function dice_of(path)
    local found, m = 0, png.read(path):totable()
    for i = 1, #m, 3 do found = found + (m[i] > 0 and 1 or 0) end
    return ("%.4f"):format(2 * found / (found + 20 * 70))
  end

  it("prints the Dice after each click, where it was, and which is best; without the mask before", function()
    local out = work .. "/refined"
    local text = run(path, { image = image, truth = truth, refine = 3, mask_out = mask, out = out,
      overlay_out = work .. "/refined.overlay.png" })
    local dice = dice_of(mask)
    local lines = {}
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
    equal(#lines, 4)
    for k = 1, 3 do holds(lines[k], ("clicks %d dice %s "):format(k, dice)) end
    equal(lines[1]:match "^clicks 1 dice 0%.%d+ (%a*)", "best") -- the others are as good, and later
    holds(lines[1], "at 19.5,9.5 inside") -- 10 pixels from the outside, the first such
    local x = lines[2]:match "^clicks 2 dice 0%.%d+ +at (%d+%.5),%d+%.5 inside$"
    equal(x ~= nil and tonumber(x) < 40, true, lines[2]) -- what is red is found
    equal(lines[4], "feedback none")
    local logits = npy.read(out .. "/prompt_0.logits.npy")
    equal({ logits.shape, logits:get(0, 0, 0, 0), logits:get(0, 0, 15, 15) }, { { 1, 1, 16, 16 }, -0.5, 199.5 })
    equal(npy.read(out .. "/prompt_0.iou.npy").shape, { 1, 1 })
    equal(png.read(work .. "/refined.overlay.png").shape, { 12 * 20, 12 * 80, 3 })
  end)

  it("goes on from the logits before where that is asked for, and ends with the best", function()
    local out = work .. "/fed"
    local digests = {}
    for _, feedback in ipairs { "none", "logits" } do
      local text = run(path, { image = image, truth = truth, refine = 3, feedback = feedback,
        upsampled_out = work .. "/fed.npy", digest = true, out = out })
      holds(text, "feedback " .. feedback)
      digests[feedback] = text:match "digest (%x+)"
    end
    equal(digests.none, digests.logits) -- the first click is the best with both
    refuses(function()
      run(path, { image = image, truth = truth, refine = 1, point = {}, mask_out = truth })
    end, "--mask-out", "truth.png", "--truth")
  end)

  it("depends on the seed and on nothing else", function()
    local function overlay(seed)
      local name = work .. "/seed.png"
      run(path, { image = image, truth = truth, refine = 1, first = "random", seed = seed, overlay_out = name })
      return require("msagen.sha256").hex(sys.read_file(name))
    end
    local one = overlay(1)
    equal(overlay(1), one)
    equal(overlay(2) ~= one, true)
    equal(overlay(nil), overlay(0))
  end)

  it("is refused a truth that does not fit", function()
    write_truth(("\255"):rep(79), 79)
    refuses(function() run(path, { image = image, truth = truth, refine = 1 }) end, "truth.png", "80x20", "79x20")
    write_truth(("\127"):rep(80))
    refuses(function()
      run(path, { image = image, truth = truth, refine = 1 })
    end, "truth.png", "no pixel over 127", "127")
    refuses(function() run(path, { image = image, truth = truth, refine = 17 }) end, "--refine", "16 clicks", "17")
  end)

  it("is not combined with other prompts", function()
    for _, args in ipairs { { refine = 1 }, { truth = truth }, { first = "centre" }, { feedback = "none" },
      { truth = truth, refine = 1, seed = 1 },
      { truth = truth, refine = 1, box = { 1, 1, 2, 2 } },
      { truth = truth, refine = 1, prompts = "p.json" }, { truth_inside = { {} }, box = { 1, 1, 2, 2 } },
        { image_bits = 12, no_image = true, bench = 1 } } do
      args.dir, args.image, args.point = path, not args.no_image and image or nil, {}
      local err = io.stderr
      io.stderr = { write = function() end }
      local status = verb.run(args)
      io.stderr = err
      equal(status, 2)
    end
  end)
end)

describe("clicks in a volume", function()
  local segment = require "run.segment"
  local path, width, height = fake_folder("clicked", 3), 30, 20
  local function rows(...) -- strings of a row's columns by letter, a slice each: x inside
    local out = {}
    for i, row in ipairs { ... } do out[i] = row:gsub(".", { x = "\255", ["."] = "\0" }):rep(height) end
    return tensor.frombytes(table.concat(out), "u8", { #out, height, width })
  end
  local red, none, all = ("."):rep(15) .. ("x"):rep(15), ("."):rep(30), ("x"):rep(30)
  local function picture(...)
    return tensor.frombytes(rows(...):tobytes():gsub(".", { ["\255"] = "\200\0\0", ["\0"] = "\0\0\0" }), "u8",
      { select("#", ...), height, width, 3 })
  end
  local opened = folder.open(path)
  opened:compile(false)
  local function perform(image, clicks, files)
    local prompts, empty = {}, { logits = {}, iou = {}, masks = {} }
    for k in ipairs(clicks) do prompts[k] = { multimask = false } end
    local scratch = sys.mkdtemp(work, "job-")
    return segment.perform({ folder = opened, image = image, prompts = prompts, files = files or empty,
      clicks = clicks }, scratch, function(text) return text end), scratch
  end
  local function told(clicks, slice)
    local list = {}
    for _, c in ipairs(clicks) do
      if not slice or c.slice == slice then
        list[#list + 1] = ("%d:%d %g,%g %d %.3f"):format(c.slice, c.count, c.x, c.y, c.label, c.dice or -1)
      end
    end
    return table.concat(list, "; ")
  end
  -- Five slices, in subvolumes from 0 (two kept) and from 2.
  local image = picture(red, red, red, none, all)
  local truth = rows(all, none, red, all, ("x"):rep(3) .. none:sub(4))

  it("are each slice's own, whatever the others have", function()
    local whole = perform(image, { { count = 4, truth = truth, steps = { 1, 4 } } }).clicks[1]
    for slice = 0, 4 do
      local only = { none, none, none, none, none }
      only[slice + 1] = ({ all, none, red, all, ("x"):rep(3) .. none:sub(4) })[slice + 1]
      local alone = perform(image, { { count = 4, truth = rows(table.unpack(only)), steps = { 1, 4 } } }).clicks[1]
      equal(told(alone), told(whole, slice))
      equal(alone.kept_of[slice + 1], whole.kept_of[slice + 1])
    end
    equal({ whole.kept, whole.kept_of[1], whole.kept_of[2], whole.kept_of[4] }, { nil, 4, 0, 4 })
    holds(told(whole), "0:1 9.5,9.5 1 0.868;", "0:2 3.5,3.5 1", "2:2 10.5,3.5 0", "4:1 1.5,1.5 1 0.182; ")
  end)

  it("of several prompts are on one encoding, and steps are written", function()
    local function steps(name) return { work .. name .. "1.npy", work .. name .. "3.npy" } end
    local found = perform(image, { { count = 3, truth = truth, steps = { 1, 3 }, masks = steps "/a.",
      logits = steps "/l." }, { count = 3, truth = rows(red), steps = { 2 }, masks = { work .. "/b.npy" } }, false })
    equal(#found.results, 3)
    equal(#found.results[1].best, 5)
    local masks = npy.read(work .. "/a.3.npy")
    equal(masks.shape, { 5, height, width })
    equal(npy.read(work .. "/a.1.npy"):tobytes() == masks:tobytes(), true) -- the fake layers' signs stay
    equal(npy.read(work .. "/b.npy").shape, { 5, height, width })
    local logits = npy.read(work .. "/l.3.npy")
    equal({ logits.shape, logits:get(1, 0, 3, 3), logits:get(0, 0, 0, 0) }, { { 5, 1, 16, 16 }, -1000, -0.5 })
    local inside = {}
    for s = 0, 4 do
      inside[s + 1] = 0
      for x = 0, width - 1 do inside[s + 1] = inside[s + 1] + masks:get(s, 7, x) // 255 end
    end
    equal({ inside[1] == inside[3], inside[2], inside[4], inside[5] }, { true, 0, 0, 30 })
  end)

  it("go where nothing is inside too, if asked to", function()
    local blank = rows(none, none, none, none, none)
    local none_at_all = perform(image, { { count = 2, truth = blank } }).clicks[1]
    equal({ #none_at_all, none_at_all.kept_of }, { 0, { 0, 0, 0, 0, 0 } })
    local found = perform(image, { { count = 2, truth = blank, empty = "random", seed = 5 } }).clicks[1]
    equal({ found[1].slice, found[1].label, found[1].count }, { 0, 0, 1 })
    equal(told(found, 3):match "^3:1 %S+ 0 %S+$" ~= nil, true, told(found, 3)) -- an empty mask: done
    equal(found.kept_of, { 1, 1, 1, 1, 1 })
  end)

  it("are told of slice by slice by run --refine", function()
    npy.write(work .. "/clicked.npy", image)
    npy.write(work .. "/clicked.truth.npy", truth)
    local text = run(path, { image = work .. "/clicked.npy", truth = work .. "/clicked.truth.npy", refine = 2,
      mask_out = work .. "/clicked.mask.npy", overlay_out = work .. "/clicked.png" })
    holds(text, "slice 0 clicks 1 dice 0.8679 best  at 9.5,9.5 inside", "slice 1 nothing inside the truth",
      "slice 4 clicks 2 dice 0.1818       at 12.5,9.5 outside", "feedback none")
    equal(npy.read(work .. "/clicked.mask.npy").shape, { 5, height, width })
  end)
end)

describe("a truth beside prompts of one's own", function()
  local png = require("msagen.image")
  local function half(width) return ((("\0"):rep(80 - width) .. ("\255"):rep(width)):rep(20)) end

  it("gives the Dice of each result", function()
    local truth, image = work .. "/own.png", work .. "/half.npy"
    png.write_png(truth, tensor.frombytes(half(40), "u8", { 20, 80 }))
    local text = run(work .. "/flat", { image = image, truth = truth, point = { { 70, 10 } },
      mask_out = work .. "/own.mask.png" })
    local m, both, sum = png.read(work .. "/own.mask.png"):totable(), 0, 20 * 40
    for i = 1, #m, 3 do
      local x = ((i - 1) // 3) % 80
      both, sum = both + (m[i] > 0 and x >= 40 and 1 or 0), sum + (m[i] > 0 and 1 or 0)
    end
    equal(both > 0, true)
    equal(text:gsub(", HD95 .*", ""), ("prompt 0: 1 mask, highest predicted IoU 0.5000, Dice %.4f, IoU %.4f"):format(
      2 * both / sum, both / (sum - both)))
    local list = file("both.json", '[{"box":[1,2,3,4]},{"points":[[1,2]],"labels":[1]}]')
    text = run(work .. "/flat", { image = image, truth = truth, prompts = list, digest = true })
    equal(text:gsub("%d+%.%d+", "X"):gsub("digest %x+", "digest"),
      "digest\nprompt 0: 1 mask, highest predicted IoU X, Dice X, IoU X, HD95 X pixels\n"
      .. "prompt 1: 1 mask, highest predicted IoU X, Dice X, IoU X, HD95 X pixels")
  end)

  it("is an NPY file for a volume", function()
    local truth = work .. "/volume.truth.npy"
    npy.write(truth, tensor.frombytes(("\0"):rep(600) .. ("\1"):rep(1200), "u8", { 3, 20, 30 }))
    holds(run(work .. "/volume", { image = work .. "/volume.npy", truth = truth, box = { 1, 1, 9, 9 } }),
      ", Dice 1.0000")
    npy.write(truth, tensor.frombytes(("\1"):rep(1200), "u8", { 2, 20, 30 }))
    refuses(function()
      run(work .. "/volume", { image = work .. "/volume.npy", truth = truth, box = { 1, 1, 9, 9 } })
    end, "[3,20,30]", "[2,20,30]")
  end)
end)

sys.remove_tree(work)
sys.keep(work)
