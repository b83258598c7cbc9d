-- SPDX-License-Identifier: Apache-2.0
-- Weights that are streamed: the digests of mapped builds, which golden/digests.json and the interpreter know, hooks
-- that fail, deliver late and hold the library to the contract, memory without the weights in it, and nothing
-- undefined but the hooks.
-- luahost run_stream.lua
local sys = require "msagen.sys"
local json = require "msagen.json"
local image = require "msagen.image"
local cases = require "cases"
local tally = require "tally"
package.path = ("%s/lua/?.lua;%s"):format(tally.tests, package.path)
local tiny = require "tiny_model"
local must = tally.must

local work = tally.folder "stream"

local function make(fw, ...) must { "make", "-j2", "-C", fw, ... } end
local function manifest(fw) return json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json") end

-- Networks of every kind, the ways in which they are streamed; the first is not the full tier's alone.
local spread = {
  { "sam-2d", { "--cores", "2" }, {} },
  { "msa-2023-3d-two-chunks", {}, { "--cores", "3" } },
}
if tally.full then
  spread[3], spread[4] = { "msa-paper-2d", { "--stream-buffer", "68000" }, {} },
    { "msa-2025-3d-no-chunk", { "--stream-buffer", "165000" } }
end

for _, s in ipairs(spread) do
  local name = s[1]
  tally.test(name .. ": the mapped build's digest", function()
    local case, prompts, fw = cases.read(name), ("%s/%s.json"):format(work, name), ("%s/%s"):format(work, name)
    sys.write_file(prompts, cases.prompts(name, case))
    for i = 2, tally.full and #s or 2 do
      must(cases.build(name, case, tally.best, fw, "--weights", "stream", table.unpack(s[i])))
      make(fw, "CFLAGS=-O0")
      local way = table.concat(s[i], " ")
      local found = cases.digest(must { tally.program, "run", fw, "--image",
        ("%s/%s/image.npy"):format(cases.folder, name), "--prompts", prompts, "--digest" })
      assert(found == cases.known(name, tally.best), way .. ": another digest")
      local m = manifest(fw)
      local ratio = m.arena_bytes / m.arena_bound_bytes
      assert(ratio >= 1 and ratio <= 1.05, ("%s: arena %.3f of its bound"):format(way, ratio))
    end
    if tally.full or name == "sam-2d" then cases.calls(fw, 29, 30) end
    sys.remove_tree(fw)
  end)
end

-- A picture of noise, alike each time.
local function noise(path)
  local state, bytes = 7, {}
  for i = 1, 90 * 70 * 3 do
    state = state * 48271 % 2147483647
    bytes[i] = string.char(state >> 12 & 255)
  end
  require "msagen.npy".write(path, { dtype = "u8", shape = { 70, 90, 3 }, bytes = table.concat(bytes) })
  return path
end

-- The least buffer that a device takes, which a refusal tells.
local function least_buffer(device, fw)
  device.weights, device.stream_buffer = "stream", 4096
  local ok, message = pcall(tiny.build, device, fw)
  local least = not ok and tonumber(tostring(message.msagen):match(
    "^%-%-stream%-buffer: expected (%d+) bytes at least, for [%w_]+, found 4096$"))
  assert(least, "no refusal that says the least")
  device.stream_buffer = least - 1
  assert(not pcall(tiny.build, device, fw), "less than the least is taken")
  return least
end

-- Shapes in which every kind of layer that can come in pieces does so: at the smallest buffer, or a larger one; the
-- full tier has both. {times the smallest, cores}
for _, s in ipairs { { "adapted", { 1, 1 }, { 1.6, 3 } }, { "broad", { 1, 3 }, { 1.6, 1 } }, { "wide", { 1.3, 1 } },
  tally.full and { "plain", { 1, 1 } } or nil } do
  tally.test(("%s: the mapped build's digest, in pieces"):format(s[1]), function()
    local device, fw, picture = tiny.device(work, s[1]), work .. "/" .. s[1], noise(work .. "/picture.npy")
    device.board = tally.best
    local expected, said = tiny.interpreted(device, tally.best, "--image", picture, "--point", "40,30"), {}
    local least = least_buffer(device, fw)
    for i = 2, tally.full and #s or 2 do
      device.stream_buffer, device.cores = math.floor(least * s[i][1]), s[i][2]
      tiny.build(device, fw)
      make(fw, "CFLAGS=-O0")
      cases.self_test(fw)
      local found = cases.digest(must { tally.program, "run", fw, "--image", picture, "--point", "40,30", "--digest" })
      assert(found == expected, ("buffers of %d bytes, %d cores: another digest"):format(device.stream_buffer,
        device.cores))
      local m = manifest(fw)
      for _, phase in ipairs { "encode", "decode" } do
        for _, buffer in ipairs(m.stream[phase].buffer_bytes) do
          assert(buffer <= device.stream_buffer, "a larger buffer")
        end
      end
      said[#said + 1] = ("%d fetches an encode"):format(m.stream.encode.fetches)
    end
    sys.remove_tree(fw)
    return table.concat(said, ", ")
  end)
end

tally.deep("banks have the mapped build's digests", function()
  local fw = work .. "/banks"
  cases.banks(fw, function(folder) make(folder, "CFLAGS=-O0 -Werror") end, "--weights", "stream")
  sys.remove_tree(fw)
end)

-- The demo's image and a mapped build's logits, as the interpreter gives them, for the product of api/stream.c.
local shape
tally.test("a mapped build's logits to compare with", function()
  must { tally.program, "interpret", tally.head, "--dialect", "msa-paper", "--board", tally.best,
    "--image", tally.demo .. "/image.png", "--point", "247,261", "--out", work .. "/out" }
  sys.write_file(work .. "/logits", sys.read_file(work .. "/out/prompt_0.logits.npy"):sub(129))
  local picture = image.read(tally.demo .. "/image.png")
  sys.write_file(work .. "/pixels", picture:tobytes())
  shape = picture.shape
end)

--- What api/stream.c says of a folder; every: which calls of the hooks fail.
local function product(fw, every, cflags)
  local threads = manifest(fw).cores > 1 and ("'%s/msa_threads.o'"):format(fw) or ""
  must { "sh", "-c", ("exec gcc -std=c11 -pthread %s -I'%s' -o '%s/product' '%s/api/stream.c' %s "
    .. "'%s/libmsa_model.a'"):format(cflags, fw, fw, tally.tests, threads, fw) }
  return must { fw .. "/product", fw .. "/msa_weights.bin", work .. "/pixels", tostring(shape[2]), tostring(shape[1]),
    "247", "261", work .. "/logits", tostring(every) }
end

--- The demo, streamed.
local function build(name, cflags, ...)
  local fw = ("%s/%s"):format(work, name)
  must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--board", tally.best,
    "--weights", "stream", "-o", fw, ... }
  make(fw, "lib", manifest(fw).cores > 1 and "msa_threads.o" or "lib",
    ("CFLAGS=%s -Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror"):format(cflags))
  return fw
end

tally.test("hooks that fail at each call, deliver late, poison what they write to; weights that are wrong; memory",
  function()
  local fw = build("plain", "-O1")
  local said = product(fw, 1, "-O1")
  local m = manifest(fw)
  local failed, resident = tonumber(said:match "failed (%d+)"), tonumber(said:match "resident (%d+)")
  assert(failed > 2 * (m.stream.encode.fetches + m.stream.decode.fetches), ("only %d calls failed"):format(failed))
  -- Beside the arena: the C library, image, logits.
  assert(resident < m.arena_bytes + 4.5e6 and resident < m.weights_bytes,
    ("%d bytes resident, of them an arena of %d"):format(resident, m.arena_bytes))
  return ("%d calls failed; %.1f MB resident, arena %.1f, weights %.1f"):format(failed, resident / 1e6,
    m.arena_bytes / 1e6, m.weights_bytes / 1e6)
end)

tally.deep("the same with two cores and in pieces, under ThreadSanitizer", function()
  local flags = "-O1 -g -fsanitize=thread"
  product(build("threads", flags, "--cores", "2", "--stream-buffer", "270000"), 97, flags)
end)

tally.test("no warning from clang; undefined in the product are the hooks alone", function()
  local fw = work .. "/plain"
  must { "sh", "-c", ("exec clang-14 %s -std=c99 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wvla -Werror "
      .. "'%s'/msa_*.c"):format(
    table.concat(require("target.boards").named(tally.best).flags, " "), fw) }
  must { "ld", "-r", "-o", fw .. "/whole.o", "--whole-archive", fw .. "/libmsa_model.a" }
  local hooks = 0
  for line in must({ "nm", "-u", fw .. "/whole.o" }):gmatch "[^\n]+" do
    local symbol = line:match "%S+$"
    if symbol:match "^msa_weights_fetch_" then hooks = hooks + 1
    else assert(symbol == "memcpy" or symbol == "memset" or symbol == "memmove" or symbol == "memcmp",
      "undefined: " .. symbol) end
  end
  assert(hooks == 2, hooks .. " hooks")
end)

tally.test("run: --bench, --profile, another build's weights", function()
  local fw = work .. "/plain"
  assert(must { tally.program, "run", fw, "--bench", "1" }:match "encode_ms %d", "no time")
  must { tally.program, "run", fw, "--profile", work .. "/profile.json" }
  local other = work .. "/other"
  must(cases.build("sam-2d", cases.read "sam-2d", tally.best, other))
  sys.write_file(work .. "/request", "MSARUN6\n")
  local status = sys.spawn { fw .. "/runner/msa_run", work .. "/request", work .. "/response",
    other .. "/msa_weights.bin", stdin = "/dev/null" }
  local said = sys.read_file(work .. "/response")
  assert(status == 1 and said:find("expected this build's hash", 1, true), said)
end)

if tally.full then
  tally.test("hooks that fail and deliver late, in pieces", function()
    local fw = build("pieces", "-O1", "--stream-buffer", "270000")
    local said = product(fw, 7, "-O1")
    sys.remove_tree(fw)
    return said:gsub("%s+", " ")
  end)
end

-- A 32-bit program, and a file of which all but the header lies beyond 4 GiB (a hole before it takes no disk).
local function beyond()
  local fw, far = work .. "/beyond", 1 << 32
  must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--board", "cortex-a7",
    "--weights", "stream", "-o", fw }
  local weights = sys.read_file(fw .. "/msa_weights.bin")
  local file <close> = assert(io.open(fw .. "/msa_weights.bin", "r+b"))
  file:seek("set", 16)
  file:write(string.pack("<I8", #weights + far))
  file:seek("set", far + 4096)
  file:write(weights:sub(4097))
  file:flush()
  local function edit(name, ...)
    local text, count = sys.read_file(("%s/%s"):format(fw, name)):gsub(...)
    assert(count > 0, name)
    sys.write_file(("%s/%s"):format(fw, name), text)
  end
  edit("msa_model.h", "(MSA_MODEL_WEIGHTS_BYTES) %d+", ("%%1 %d"):format(#weights + far))
  for _, name in ipairs { "msa_encoder.c", "msa_decoder.c" } do edit(name, "\n    {(%d+), ",
    function(offset) return ("\n    {%d, "):format(offset + far) end) end
  make(fw)
  must { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--point", "247,261", "--out",
    work .. "/beyond-out", "--modified" }
  assert(sys.read_file(work .. "/beyond-out/prompt_0.logits.npy"):sub(129) == sys.read_file(work .. "/logits"),
    "other logits than the mapped build's here")
  sys.remove_tree(fw)
end
if pcall(must, { "qemu-arm", "--version" }) and pcall(must, { "arm-linux-gnueabihf-gcc", "--version" }) then
  tally.test("cortex-a7, weights beyond 4 GiB: the mapped build's logits", beyond)
else tally.skip("cortex-a7", "there is no emulator or no compiler")
end

local function bare()
  local fw = work .. "/bare"
  must { tally.program, "build", tally.head, "--dialect", "msa-paper", "--board", "cortex-m7",
    "--weights", "stream", "--stream-buffer", "270000", "-o", fw }
  make(fw)
  must { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--point", "247,261", "--out",
    work .. "/bare-out" }
  assert(sys.read_file(work .. "/bare-out/prompt_0.logits.npy"):sub(129) == sys.read_file(work .. "/logits"),
    "other logits than the mapped build's here")
end
if pcall(must, { "qemu-system-arm", "--version" })
  and pcall(must, { "arm-none-eabi-gcc", "--version" }) then
  tally.test("cortex-m7, bare metal, in pieces: the mapped build's logits", bare)
else tally.skip("cortex-m7", "there is no emulator or no compiler")
end

tally.test("refusals", function()
  local function refused(why, ...)
    local status, output = sys.spawn { tally.program, "build", tally.head, "--dialect",
      "msa-paper", "-o", work .. "/refused", stdin = "/dev/null", stdout = "capture", stderr = "capture", ... }
    assert(status == 1 and output:match "^msagen: [^\n]+\n$" and output:find(why, 1, true), output)
  end
  refused("stream_buffer: expected with weights = stream, found without", "--stream-buffer", "300000")
  refused("stream_buffer: expected 4096 bytes at least, found 64", "--weights", "stream", "--stream-buffer", "64")
  refused("stream_buffer: expected one checkpoint, found 2 banks", "--weights", "stream", "--stream-buffer", "300000",
    "--bank", "carotid=" .. tally.source .. "/demo/carotid/delta.safetensors", "--base", tally.head)
end)

-- The kernels are the mapped build's, which are tested so elsewhere.
tally.test("hooks that fail, under sanitizers", function()
  local fw, flags = work .. "/plain", "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
  for _, file in ipairs { "stream", "model", "encoder", "decoder", "known_answer", "check", "crc32c" } do
    make(fw, "-B", ("msa_%s.o"):format(file), "CFLAGS=" .. flags)
  end
  make(fw, "lib")
  product(fw, 3, flags)
end)

return tally.finish()
