-- SPDX-License-Identifier: Apache-2.0
-- Wrong input of every kind: one line on standard error that names what is wrong, exit 1 (2: usage), and nothing left
-- behind.
local sys = require "msagen.sys"
local json = require "msagen.json"
local checkpoint = require "msagen.checkpoint"
local forge = require "forge"
local tally = require "tally"

local work = tally.folder "errors"
local temporary = work .. "/tmp"
sys.mkdir_p(temporary)

--- Every path under a folder, links not followed, with its size: what must not change.
local function snapshot(folder)
  return tally.must { "find", folder, "-printf", "%P %s\n" }
end

--- Run `command` in `work`; it must fail with `status`, one line that has each of `words`, no output, and must leave
-- `work` as it was.
local function refused(title, status, command, words)
  tally.test(title, function()
    local before = snapshot(work)
    command.cwd, command.stdin, command.stdout, command.stderr = work, "/dev/null", work .. "-out", work .. "-err"
    command.env = { TMPDIR = temporary }
    local got = sys.spawn(command)
    local out, err = sys.read_file(work .. "-out"), sys.read_file(work .. "-err")
    local line = err:gsub("\n$", "")
    assert(got == status, ("exit %d, not %d: %s"):format(got, status, line))
    assert(err:match "^msagen: [^\n]+\n$", "not one line: " .. err)
    assert(not line:find("internal error", 1, true), line)
    assert(out == "", "something on standard output: " .. out)
    for _, word in ipairs(words) do
      assert(line:find(word, 1, true), ("the line says nothing of '%s': %s"):format(word, line))
    end
    local after = snapshot(work)
    assert(after == before, "left behind: " .. after:sub(1, 300))
  end)
end
sys.cleanup(work .. "-out")
sys.cleanup(work .. "-err")

local function file(name, bytes)
  sys.write_file(work .. "/" .. name, bytes)
  return name
end

local function build(path, ...)
  return { tally.program, "build", path, "-o", "fw", ... }
end

-- Files that are no checkpoint, or no longer one.

local demo = sys.read_file(tally.tests .. "/golden/msa-paper-2d/checkpoint.pth")
for _, kept in ipairs { 0, 1, 3, 64, 5000, #demo // 2, #demo - 1000, #demo - 30, #demo - 1 } do
  local name = file("truncated.pth", demo:sub(1, kept))
  refused(("checkpoint cut to %d of %d bytes"):format(kept, #demo), 1, build(name), { "truncated.pth" })
end

local directory = demo:find("PK\1\2", 1, true)
local pickle = demo:find("\x80\x02", 1, true)
local flips = {
  { "in the pickle's first opcode", pickle - 1, 0 },
  { "in the pickle", pickle + 400, 3 },
  { "in a tensor", #demo // 2, 6 },
  { "in the central directory", directory - 1, 1 },
  { "in a member's offset", directory - 1 + 42, 2 },
  { "in the end record", demo:find("PK\5\6", #demo - 100, true) - 1, 0 },
}
for _, flip in ipairs(flips) do
  refused("checkpoint with a bit flipped " .. flip[1], 1,
    build(file("flipped.pth", forge.flip(demo, flip[2], flip[3]))), { "flipped.pth" })
end

local FLIPS = tally.full and 60 or 12
tally.test(("inspect survives %d other bit flips"):format(FLIPS), function()
  local state, refusals = 12345, 0
  for _ = 1, FLIPS do
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    -- Half of them in the last 20 kB, where the directory is.
    local at = state % 2 == 0 and state % #demo or #demo - 1 - state % 20000
    local name = file("flipped.pth", forge.flip(demo, at, state >> 7 & 7))
    local status, output = sys.spawn { tally.program, "inspect", name, cwd = work, stdout = "/dev/null",
      stderr = "capture" }
    assert(status == 0 or status == 1 and output:match "^msagen: [^\n]+\n$" and not output:find "internal error",
      ("byte %d: exit %d: %s"):format(at, status, output))
    if status == 1 then refusals = refusals + 1 end
  end
  assert(refusals > 0, "no flip was noticed")
end)

refused("a ZIP that is no checkpoint", 1,
  build(file("photos.zip", forge.zip { { "a.txt", "hello" }, { "b/c.txt", "world" } })), { "photos.zip" })
refused("an empty ZIP", 1, build(file("empty.zip", forge.zip {})), { "empty.zip" })
refused("text", 1, build(file("text.pth", "this is no checkpoint\n")), { "text.pth" })
refused("a missing file", 1, build "absent.pth", { "absent.pth" })
refused("a folder", 1, build(temporary), { temporary })
refused("an older checkpoint that is a bare pickle", 1,
  build(file("old.pth", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")), { "old.pth" })

-- Pickles that are programs.

for _, module in ipairs { "os", "posix", "nt", "subprocess" } do
  local name = file("evil.pth", forge.pth_of_pickle(forge.system_call(module, "touch " .. work .. "/executed")))
  refused(("a pickle that calls %s.system"):format(module), 1, build(name), { "evil.pth", "system" })
end
refused("a pickle without an end", 1, build(file("endless.pth", forge.pth_of_pickle "\x80\x02}(")), { "endless.pth" })
refused("a pickle with an unknown opcode", 1, build(file("opcode.pth", forge.pth_of_pickle "\x80\x02\xff.")),
  { "opcode.pth" })
refused("a pickle nested 100000 deep", 1,
  build(file("deep.pth", forge.pth_of_pickle("\x80\x02" .. ("]"):rep(100000) .. "."))), { "deep.pth" })

-- Tensors that do not fit their storage, or each other.

local function tensor(name, shape, more)
  more = more or {}
  more.name, more.shape = name, shape
  return more
end
local outside = {
  { "shape", tensor("w", { 5, 4 }) },
  { "offset", tensor("w", { 2, 4 }, { offset = 9 }) },
  { "negative offset", tensor("w", { 2, 4 }, { offset = -1 }) },
  { "stride", tensor("w", { 2, 4 }, { stride = { 16, 1 } }) },
  { "shape that overflows", tensor("w", { 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF }, { stride = { 1, 1, 1 } }) },
}
for _, case in ipairs(outside) do
  refused("a tensor outside its storage by its " .. case[1], 1,
    build(file("outside.pth", forge.pth({ case[2] }, 16)), "--dialect", "sam"), { "outside.pth", "w" })
end
refused("a storage shorter than it says", 1,
  build(file("short.pth", forge.pth({ tensor("w", { 4, 4 }) }, 16, ("\0"):rep(60)))), { "short.pth" })

local case_folder = tally.tests .. "/golden/sam-2d"
local good = checkpoint.open(case_folder .. "/checkpoint.pth")
local names = good:names()

--- The tensors of a small SAM file, all zero, after `change(tensors by name)`.
local function changed(change)
  local tensors, by_name, storage = {}, {}, 0
  for i, name in ipairs(names) do
    local shape, count = {}, 1
    for k, n in ipairs(good:tensor(name).shape) do
      shape[k] = n
      count = count * n
    end
    tensors[i] = { name = name, shape = shape }
    by_name[name] = tensors[i]
    storage = math.max(storage, count)
  end
  change(by_name, tensors)
  return forge.pth(tensors, 4 * storage)
end

tally.test("the forged file as such is a checkpoint", function()
  file("honest.pth", changed(function() end))
  tally.must { tally.program, "inspect", work .. "/honest.pth" }
end)

local function misfit(title, name, change, words)
  refused(title, 1, build(file("misfit.pth", changed(change)), "--dialect", "sam"), words or { "misfit.pth", name })
end
local function reshape(name, shape)
  misfit(("%s of a shape that does not fit"):format(name), name, function(by_name)
    assert(by_name[name], "no tensor " .. name)
    by_name[name].shape = shape
  end)
end
local function missing(name)
  misfit(name .. " missing", name, function(by_name, tensors)
    assert(by_name[name], "no tensor " .. name)
    for i, t in ipairs(tensors) do
      if t.name == name then return table.remove(tensors, i) end
    end
  end)
end
reshape("image_encoder.blocks.1.mlp.lin1.weight", { 192, 47 })
reshape("image_encoder.blocks.2.attn.qkv.bias", { 143 })
reshape("image_encoder.blocks.0.attn.rel_pos_h", { 8, 16 })
reshape("image_encoder.neck.2.weight", { 64, 64, 3, 5 })
reshape("mask_decoder.transformer.layers.1.norm3.bias", { 63 })
reshape("mask_decoder.output_upscaling.0.weight", { 64, 15, 2, 2 })
reshape("prompt_encoder.mask_downscaling.0.weight", { 4, 2, 2, 2 })
reshape("prompt_encoder.point_embeddings.1.weight", { 1, 32 })
missing "image_encoder.patch_embed.proj.bias"
missing "image_encoder.blocks.3.norm2.weight"
missing "mask_decoder.iou_token.weight"
missing "prompt_encoder.no_mask_embed.weight"

-- Safetensors headers that lie.

local function safetensors(title, header, data, claimed, words)
  refused("safetensors: " .. title, 1, build(file("lie.safetensors", forge.safetensors(header, data, claimed))), words
    or { "lie.safetensors" })
end
local zeros = ("\0"):rep(64)
safetensors("sizes that do not match the shape", '{"w":{"dtype":"F32","shape":[4,5],"data_offsets":[0,64]}}', zeros,
  nil, { "lie.safetensors", "w" })
safetensors("tensors that overlap",
  '{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},"b":{"dtype":"F32","shape":[12],"data_offsets":[16,64]}}',
  zeros)
safetensors("bytes past the end", '{"w":{"dtype":"F32","shape":[4,4],"data_offsets":[64,128]}}', zeros, nil,
  { "lie.safetensors", "w" })
safetensors("offsets the wrong way round", '{"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}', zeros)
safetensors("a negative offset", '{"w":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}', zeros)
safetensors("a shape that overflows", '{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}',
  zeros)
safetensors("a header longer than the file", '{"w":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}', zeros, 1 << 40)
safetensors("a header length that overflows", '{}', zeros, -1)
safetensors("a header that is no JSON", '{"w":', zeros)
safetensors("a name twice",
  '{"w":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},"w":{"dtype":"F32","shape":[8],"data_offsets":[32,64]}}',
  zeros)

-- What the command line asks for.

local demo_path = tally.head
local function ask(title, words, ...)
  refused(title, 1, build(demo_path, "--dialect", "msa-paper", ...), words)
end
ask("an unknown board", { "pentium-mmx" }, "--board", "pentium-mmx")
ask("a board that is a path", { "../boards/generic-c99" }, "--board", "../boards/generic-c99")
ask("a resolution that is no multiple of the patch", { "250", "16" }, "--resolution", "250")
ask("a resolution beyond what images may have", { "16384", "16392" }, "--resolution", "16392")
ask("a resolution of more digits than images have pixels", { "16384", "800000000000" }, "--resolution", "800000000000")
ask("more slices than a volume may have", { "--depth 65537", "65536" }, "--depth", "65537")
ask("a million slices", { "--depth 1000000", "65536" }, "--depth", "1000000")
ask("a chunk where there is no volume", { "--chunk 2", "--depth 2" }, "--depth", "1", "--chunk", "2")
ask("no chunk where there is no volume", { "--chunk none", "--depth 2" }, "--chunk", "none")
ask("no chunk where all slices are one sequence", { "--chunk none", "msa-paper", "4" }, "--depth", "4", "--chunk",
  "none")
ask("a chunk where all slices are one sequence", { "--chunk 2", "msa-paper", "4" }, "--depth", "4", "--chunk", "2")
refused("a dialect that contradicts the tensors", 1, build(demo_path, "--dialect", "sam"), { "sam" })
refused("an ambiguous file", 1, build(tally.tests .. "/golden/msa-2025-2d/checkpoint.pth"), { "msa-2024", "msa-2025" })
refused("an output below a file", 1, { tally.program, "build", demo_path, "-o", file("plain", "x") .. "/fw" },
  { "plain" })
refused("an output without a name", 1, { tally.program, "build", demo_path, "-o", "" },
  { "-o: expected a folder, found an empty text" })
refused("an output where nothing can be written", 1, { tally.program, "build", demo_path, "-o", "/proc/fw" },
  { "/proc" })
sys.mkdir_p(work .. "/mine")
file("mine/letter.txt", "dear reader")
refused("an output folder that holds something else", 1, { tally.program, "build", demo_path, "-o", "mine" },
  { "mine" })
refused("a script that is no Lua", 1, { tally.program, "build", file("device.lua", "return return"), "-o", "fw" },
  { "device.lua" })
refused("a script that returns nothing", 1, { tally.program, "build", file("device.lua", "local x = 1"), "-o", "fw" },
  { "device.lua" })
for _, n in ipairs { "0", "-1", "2.5", "two" } do
  refused("--cores " .. n, 2, build(demo_path, "--cores=" .. n), { "above 0", "found " .. n })
end
ask("more cores than a build may have", { "checkpoint.safetensors", "cores", "1 to 8", "found 9" }, "--cores", "9")
for _, c in ipairs { { '"two"', "two" }, { "2.5", "2.5" }, { "0", "0" }, { "9", "9" } } do
  refused("a script with cores = " .. c[1], 1,
    { tally.program, "build", file("cores.lua", ('return { checkpoint = "%s", cores = %s }'):format(demo_path, c[1])),
      "-o", "fw" }, { "cores.lua", "cores: expected", "found " .. c[2] })
end

-- Plans.

local function planned(title, words, ...)
  refused("plan: " .. title, 1, { tally.program, "plan", ... }, words)
end
planned("a missing file", { "absent.pth" }, "absent.pth")
planned("an unknown board", { "pentium-mmx" }, demo_path, "--board", "pentium-mmx")
planned("an ambiguous file", { "msa-2024", "msa-2025" }, tally.tests .. "/golden/msa-2025-2d/checkpoint.pth")
planned("a truncated file", { "truncated.pth" }, file("truncated.pth", demo:sub(1, #demo // 2)))
planned("a resolution that is no multiple of the patch", { "250", "16" }, demo_path, "--dialect", "msa-paper",
  "--resolution", "250")
planned("an arena beyond this machine", { "--resolution 4096", tally.best, "found none for the arena",
  "the largest resolution that fits is " },
  demo_path, "--dialect", "msa-paper", "--resolution", "4096", "--depth", "1024", "--board", tally.best)

-- A full disk: a limit on file size always, a small file system where we may mount one.

refused("a file size limit below the weights", 1,
  { "sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", table.unpack(build(demo_path)) }, { "fw", "File too large" })
local disk = work .. "/disk"
sys.mkdir_p(disk)
if sys.spawn { "mount", "-t", "tmpfs", "-o", "size=3m", "none", disk, stdout = "/dev/null", stderr = "/dev/null" }
  == 0 then
  refused("a full disk", 1, { tally.program, "build", demo_path, "-o", "disk/fw" }, { "disk/", "No space left" })
  sys.spawn { "umount", disk }
else
  tally.skip("a full disk", "a file system cannot be mounted here")
end

-- Running what was built.

local fw = work .. "/demo"
tally.test("the demo is built", function()
  tally.must { tally.program, "build", demo_path, "--board", tally.best, "-o", fw }
  tally.must { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--point", "10,10", "--mask-out",
    work .. "/mask.png" }
end)

local image = tally.demo .. "/image.png"
local function run(title, words, ...)
  refused("run: " .. title, 1, { tally.program, "run", "demo", ... }, words)
end
run("an image that is text", { "text.png" }, "--image", file("text.png", "no picture"), "--point", "1,1")
run("an image cut short", { "cut.png" }, "--image", file("cut.png", sys.read_file(image):sub(1, 5000)), "--point",
  "1,1")
run("an image that is missing", { "absent.png" }, "--image", "absent.png", "--point", "1,1")
run("an image of floats", { "mask_prompt.npy" }, "--image",
  file("mask_prompt.npy", sys.read_file(tally.tests .. "/golden/sam-2d/prompt_4.mask_input.npy")), "--point", "1,1")
run("an image that is a GIF", { "picture.gif" }, "--image", file("picture.gif", "GIF89a\1\0\1\0\0\0\0;"), "--point",
  "1,1")
run("a PNG of a million a side", { "huge.png" }, "--image", file("huge.png",
  "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\x0f\x42\x40\0\x0f\x42\x40\8\2\0\0\0" .. "\x1f\xee\x72\x5c"), "--point", "1,1")
run("a point right of the image", { "513" }, "--image", image, "--point", "513,10")
run("a point above the image", { "-1" }, "--image", image, "--point=10,-1")
run("a point that is no number", { "nan" }, "--image", image, "--point", "nan,10")
run("a label of 7", { "7" }, "--image", image, "--point", "10,10,7")
run("a box with its corners swapped", { "200" }, "--image", image, "--box", "200,200,100,100")
run("a box outside the image", { "600" }, "--image", image, "--box", "10,10,600,100")
run("no prompt", { "prompt" }, "--image", image, "--mask-out", "new.png")
run("prompts that are no JSON", { "bad.json" }, "--image", image, "--prompts", file("bad.json", "[{'points'"),
  "--mask-out", "new.png")
run("prompts that are an object", { "object.json" }, "--image", image, "--prompts", file("object.json", "{}"),
  "--mask-out", "new.png")
run("points without labels", { "points.json" }, "--image", image, "--prompts",
  file("points.json", '[{"points":[[1,2]]}]'), "--mask-out", "new.png")
run("a box of three numbers", { "box.json" }, "--image", image, "--prompts", file("box.json", '[{"box":[1,2,3]}]'),
  "--mask-out", "new.png")
local small_truth = "small.png"
require("msagen.image").write_png(work .. "/small.png",
  require("msagen.tensor").frombytes(("\255"):rep(6), "u8", { 2, 3 }))
local many = {}
for i = 1, 17 do many[i] = "[1,1]" end
run("17 points", { "16" }, "--image", image, "--prompts", file("many.json",
  ('[{"points":[%s],"labels":[%s]}]'):format(table.concat(many, ","), ("1,"):rep(16) .. "1")), "--mask-out", "new.png")
run("a mask prompt of another size", { "mask_prompt.npy" }, "--image", image, "--mask-in", "mask_prompt.npy",
  "--mask-out", "new.png")
run("17 clicks of refinement", { "--refine", "16", "17" }, "--image", image, "--truth", tally.demo .. "/truth.png",
  "--refine", "17")
run("a truth of another size", { "small.png", "512x512", "3x2" }, "--image", image, "--truth", small_truth, "--refine",
  "3")
run("a bank of a build without", { "--bank", "without" }, "--image", image, "--point", "1,1", "--bank", "carotid")
run("a phrase of a build without", { "--text", "without" }, "--image", image, "--text", "carotid", "--mask-out",
  "new.png")
run("a volume of no slices", { "empty.npy", "found 0" }, "--image", file("empty.npy", "\x93NUMPY\1\0\x76\0"
  .. ("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4, 4, 3), }"):gsub("$", (" "):rep(52), 1) .. "\n"),
    "--point", "1,1")
run("a truth that is missing", { "absent.png" }, "--image", image, "--truth", "absent.png", "--refine", "3",
  "--mask-out", "new.png")
run("a mask that cannot be written", { "/proc/mask.png" }, "--image", image, "--point", "1,1", "--mask-out",
  "/proc/mask.png")
run("a full device", { "/dev/full" }, "--image", image, "--point", "1,1", "--upsampled-out", "/dev/full")
run("a profile that cannot be written", { "/proc/profile.json" }, "--profile", "/proc/profile.json")
run("a profile that is a folder", { "demo", "folder" }, "--image", image, "--profile", "demo")
refused("run: a disk that is full at the profile", 1, { "sh", "-c", 'ulimit -f 4; exec "$@"', "sh", tally.program,
  "run", "demo", "--profile", "profile.json" }, { "profile.json" })
run("an output folder below a file", { "plain" }, "--image", image, "--point", "1,1", "--out", "plain/got")
refused("run: a folder that msagen did not make", 1, { tally.program, "run", "mine", "--image", image, "--point",
  "1,1" }, { "mine" })
refused("run: a folder that is missing", 1, { tally.program, "run", "absent", "--image", image, "--point", "1,1" },
  { "absent" })

local clip_path = tally.tests .. "/golden-clip/hf-gelu/model.safetensors"
for _, place in ipairs { "/proc/new.safetensors", "/dev/full", "mine", "plain/new.safetensors" } do
  refused("embed: a file that cannot be written, " .. place, 1, { tally.program, "embed", "--clip", clip_path,
    "--tokens", "510 9 511", "-o", place }, { place:match "^plain" or place })
end

-- Files that are none. None of them may be waited for, or read without an end.

sys.mkdir_p(work .. "/other")
local nothings = {
  { "a folder", work .. "/other", "a folder" }, { "a pipe that nobody writes to", work .. "/pipe", "a pipe" },
    { "/dev/zero", "/dev/zero", "a device" },
  { "a link to itself", work .. "/loop", "symbolic links" }, { "a socket", work .. "/socket", "a socket" },
    { "nothing", work .. "/absent", "No such file" },
}
tally.must { "mkfifo", work .. "/pipe" }
tally.must { "ln", "-s", "loop", work .. "/loop" }
local socket = sys.spawn { "python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
  work .. "/socket", stdout = "/dev/null", stderr = "/dev/null" } == 0
sys.mkdir_p(work .. "/start")
sys.mkdir_p(work .. "/given")
file("isa.lua", "return { name = 'isa', like = 'generic-c99', isa = 'place.lua' }")
file("linked.lua", "return { name = 'linked', like = 'cortex-m7', start = { folder = 'start', script = 'place.ld', "
  .. "product = { 'msa_start' }, runner = {} } }")
file("started.lua", "return { name = 'started', like = 'cortex-m7', start = { folder = 'start', "
  .. "script = 'msa_board.ld', product = { 'place' }, runner = {} } }")
file("start/msa_board.ld", "/* nothing */")
--- Where a file is expected at a place of a fixed name: a link there.
local function placed(name, ...)
  local command = { ... }
  return function(path)
    sys.remove_tree(work .. "/" .. name)
    tally.must { "ln", "-s", path, work .. "/" .. name }
    return command, name
  end
end
local takes = {
  { "a build script", placed("place.lua", "build", "place.lua", "-o", "fw") },
    { "plan's script", placed("place.lua", "plan", "place.lua") },
  { "a trusted script", placed("place.lua", "build", "place.lua", "--trust", "-o", "fw") },
  { "--board", placed("place.lua", "build", demo_path, "--dialect", "msa-paper", "--board", "./place.lua", "-o",
    "fw") }, { "boards'", placed("place.lua", "boards", "./place.lua") },
  { "an instruction set", placed("place.lua", "boards", "./isa.lua") },
  { "a linker script", placed("start/place.ld", "build", demo_path, "--dialect", "msa-paper", "--board", "./linked.lua",
    "-o", "fw"), "start" },
  { "a start-up file", placed("start/place.c", "build", demo_path, "--dialect", "msa-paper", "--board", "./started.lua",
    "-o", "fw"), "start" },
  { "a manifest", placed("given/manifest.json", "run", "given", "--image", image, "--point", "1,1"), "given: " },
  { "the manifest of sizes", placed("given/manifest.json", "sizes", "given"), "given: " },
  { "a checkpoint", function(path) return { "build", path, "-o", "fw" } end },
    { "inspect's", function(path) return { "inspect", path } end },
  { "plan's", function(path) return { "plan", path } end },
    { "--base", function(path) return { "build", demo_path, "--dialect", "msa-paper", "--base", path, "-o",
    "fw" } end },
  { "--bank", function(path) return { "build", "--bank", "a=" .. path, "-o", "fw" } end },
  { "--text-prompts", function(path)
    return { "build", demo_path, "--dialect", "msa-paper", "--text-prompts", path, "-o", "fw" }
  end },
  { "--clip", function(path) return { "embed", "--clip", path, "liver", "-o", "new.safetensors" } end },
  { "--projection", function(path)
    return { "embed", "--clip", clip_path, "--tokens", "510 511", "--projection", path, "-o", "new.safetensors" }
  end },
  { "--image", function(path) return { "run", "demo", "--image", path, "--point", "1,1" } end },
  { "--prompts", function(path) return { "run", "demo", "--image", image, "--prompts", path, "--out", "got" } end },
  { "--mask-in", function(path)
    return { "run", "demo", "--image", image, "--mask-in", path, "--mask-out", "new.png" }
  end },
  { "--truth", function(path) return { "run", "demo", "--image", image, "--truth", path, "--refine", "1" } end },
}
local untouched = snapshot(work)
for _, take in ipairs(takes) do
  tally.test("what is no file is refused in the place of " .. take[1], function()
    for _, nothing in ipairs(nothings) do
      local path = nothing[2]
      if path ~= work .. "/socket" or socket then
        local started, command, name = sys.monotonic_ns(), take[2](path)
        local status, output = sys.spawn { "timeout", "-k", "1", "20", tally.program, cwd = work,
          env = { TMPDIR = temporary }, stdin = "/dev/null", stdout = "capture", stderr = "capture",
          table.unpack(command) }
        assert(status == 1 and output:match "^msagen: [^\n]+\n$" and not output:find "internal error",
          ("%s: exit %d: %s"):format(nothing[1], status, output))
        -- A path that is fixed may be said to have nothing there, or another file's folder be asked.
        assert(output:find(name or path, 1, true) or take[3] and output:find(take[3], 1, true),
          ("%s: %s"):format(nothing[1], output))
        -- A folder in the place of a file that belongs to an image has one for each.
        assert(output:find(nothing[3], 1, true) or name and output:find "found no"
          or nothing[1] == "a folder" and output:find "as the image, found none\n$"
          or output:find "isa: expected one of", ("%s: %s"):format(nothing[1], output))
        assert(sys.monotonic_ns() - started < 15e9, nothing[1] .. ": too slow") -- under sanitizers, on a busy machine
      end
    end
  end)
end
for _, name in ipairs { "place.lua", "start/place.ld", "start/place.c", "given/manifest.json" } do
  sys.remove_tree(work .. "/" .. name)
end
tally.test("and leaves nothing behind", function()
  assert(snapshot(work) == untouched, "left behind: " .. snapshot(work):sub(1, 300))
end)

tally.test("pipes in the place of a folder's files are not waited for", function()
  for _, name in ipairs { "manifest.json", "msa_weights.bin", "msa_model.c", "Makefile", "runner/msa_run.c",
    "runner/msa_run.sums", "msa_model.o" } do
    local path = fw .. "/" .. name
    sys.rename(path, work .. "/kept")
    tally.must { "mkfifo", path }
    local status, output = sys.spawn { "timeout", "-k", "1", "60", tally.program, "run", fw, "--image", image,
      "--point", "1,1", stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    local compiled = name == "msa_model.o" -- made again
    sys.remove_tree(path)
    sys.rename(work .. "/kept", path)
    assert(compiled and status == 0 or status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(name, 1, true),
      ("%s: exit %d: %s"):format(name, status, output))
  end
end)
tally.test("a file system below /dev is one to write to", function()
  local ok, folder = pcall(sys.mkdtemp, "/dev/shm", "msagen-errors-")
  if not ok then return "there is no /dev/shm to write to" end
  tally.must { tally.program, "run", fw, "--image", image, "--point", "10,10", "--mask-out", folder .. "/mask.png" }
  assert(sys.exists(folder .. "/mask.png"))
  sys.remove_tree(folder)
  sys.keep(folder)
end)

tally.test("prompts may come through a pipe", function()
  tally.must { "sh", "-c",
    [==[printf '[{"points":[[10,10]],"labels":[1]}]' | "$0" run demo --image "$1" --prompts /dev/stdin]==],
    tally.program, image, cwd = work }
end)

tally.test("a manifest with other values is refused, unless they say how this machine runs the folder", function()
  local path = fw .. "/manifest.json"
  local manifest = sys.read_file(path)
  local function tried(pattern, value, ...)
    local other, count = manifest:gsub(pattern, value)
    assert(count == 1, pattern)
    sys.write_file(path, other)
    local command = { tally.program, ... }
    command.stdout, command.stderr = "capture", "capture"
    local status, output = sys.spawn(command)
    sys.write_file(path, manifest)
    return status, output
  end
  for _, one in ipairs { { '"arena_bytes": %d+', '"arena_bytes": 64', "sizes", fw }, { '"feedback": "%a+"',
    '"feedback": "logits"', "run", fw, "--image", image, "--point", "1,1" } } do
    local status, output = tried(table.unpack(one))
    assert(status == 1 and output:find("^msagen: [^\n]*manifest.json: expected what msagen wrote, found other values"),
      output)
  end
  local status, output = tried('"requires": %b[]', '"requires": []', "run", fw, "--image", image, "--point", "1,1")
  assert(status == 0, output)
end)

tally.test("damaged weights, and those of another build, are refused by name", function()
  local weights = fw .. "/msa_weights.bin"
  local bytes, segments = sys.read_file(weights),
    require("msagen.json").decode(sys.read_file(fw .. "/manifest.json")).segments
  local function refused_with(expected, damaged)
    sys.write_file(weights, damaged)
    local status, output = sys.spawn { tally.program, "run", fw, "--image", image, "--point", "1,1", "--mask-out",
      work .. "/never.png", stdout = "capture", stderr = "capture" }
    sys.write_file(weights, bytes)
    assert(status == 1 and output:match "^msagen: [^\n]+\n$"
      and output:find("/demo: msa_weights.bin: " .. expected, 1, true) and not sys.exists(work .. "/never.png"),
      ("expected %s, found exit %d: %s"):format(expected, status, output))
  end
  refused_with("header: expected this build's hash", forge.flip(bytes, 50, 0))
  refused_with("header: expected a blob of this version", forge.flip(bytes, 9, 0)) -- version
  refused_with("header: expected a blob of this version", forge.flip(bytes, 101, 7)) -- zeros
  refused_with("header: expected arithmetic", forge.flip(bytes, 35, 1))
  refused_with(("header: expected %d bytes"):format(#bytes), forge.flip(bytes, 18, 3))
  refused_with("segment table: expected the CRC-32C", forge.flip(bytes, 140, 2))
  refused_with("header: expected a blob of this version", forge.flip(bytes, segments[1].offset - 1, 2)) -- padding
  refused_with(("expected %d bytes, found %d"):format(#bytes, #bytes - 64), bytes:sub(1, -65))
  refused_with(("expected %d bytes, found %d"):format(#bytes, #bytes + 1), bytes .. "\0")
  refused_with(("expected %d bytes, found 7"):format(#bytes), bytes:sub(1, 7))
  for _, i in ipairs { 1, #segments // 2, #segments } do
    local s = segments[i]
    refused_with(("%s: expected CRC-32C %s, found "):format(s.name, s.crc32c), forge.flip(bytes, s.offset + 1, 5))
    refused_with(("%s: expected CRC-32C %s, found "):format(s.name, s.crc32c),
      forge.flip(bytes, s.offset + s.bytes - 1, 0))
  end
end)

-- Usage.

local function usage(title, words, ...)
  refused("usage: " .. title, 2, { tally.program, ... }, words)
end
usage("no verb", { "command" })
usage("an unknown verb", { "compile" }, "compile")
usage("an unknown option", { "--fast" }, "build", demo_path, "--fast", "-o", "fw")
usage("build without a checkpoint", {}, "build", "-o", "fw")
usage("plan without a checkpoint", {}, "plan")
usage("plan with -o", { "-o" }, "plan", demo_path, "-o", "fw")
usage("build without -o", { "-o" }, "build", demo_path)
usage("a resolution of 0", { "0" }, "build", demo_path, "--resolution", "0", "-o", "fw")
usage("a resolution that is no number", { "big" }, "build", demo_path, "--resolution", "big", "-o", "fw")
usage("a resolution beyond integers", { "99999999999999999999" }, "build", demo_path, "--resolution",
  "99999999999999999999", "-o", "fw")
usage("an architecture that does not exist", { "--arch" }, "synth", "--arch", "vit_z", "--seed", "1", "-o",
  "f.safetensors")
usage("run without a folder", {}, "run")
usage("a point of one number", { "7" }, "run", "demo", "--image", image, "--point", "7")
usage("several masks of no prompt", { "--multimask" }, "run", "demo", "--image", image, "--multimask")
usage("a refinement without a truth", { "--refine", "--truth" }, "run", "demo", "--image", image, "--refine", "3")
usage("a refinement beside a point", { "--refine", "--point" }, "run", "demo", "--image", image, "--truth", image,
  "--refine", "3", "--point", "1,2")
usage("no clicks", { "--refine", "0" }, "run", "demo", "--image", image, "--truth", image, "--refine", "0")
usage("a seed that is no number", { "--seed", "x" }, "run", "demo", "--image", image, "--truth", image, "--refine", "3",
  "--seed", "x")
usage("a profile without a file", { "--profile" }, "run", "demo", "--image", image, "--profile")
usage("a prompt for a profile of no image", { "--point", "--image" }, "run", "demo", "--profile", "profile.json",
  "--point", "1,2")
usage("a box of three numbers", { "1,2,3" }, "run", "demo", "--image", image, "--box", "1,2,3")

-- Interruption.

tally.test("an interrupted build leaves nothing, or all", function()
  tally.must { tally.program, "build", demo_path, "-o", work .. "/whole" }
  local before, killed = snapshot(work), 0
  for _, signal in ipairs { "INT", "TERM" } do
    for _, delay in ipairs { "0.05", "0.1", "0.15", "0.4" } do
      local status = sys.spawn { "timeout", "--preserve-status", "-s", signal, delay, tally.program, "build", demo_path,
        "-o", "interrupted",
        cwd = work, env = { TMPDIR = temporary }, stdout = "/dev/null", stderr = "/dev/null" }
      if status > 128 then killed = killed + 1 end
      -- The signal may come after the last step.
      if sys.exists(work .. "/interrupted") then
        tally.must { "diff", "-r", work .. "/whole", work .. "/interrupted" }
      end
      sys.remove_tree(work .. "/interrupted")
      assert(snapshot(work) == before, ("SIG%s after %s s left something"):format(signal, delay))
    end
  end
  assert(killed > 0, "every build was done before its signal")
end)

return tally.finish()
