-- SPDX-License-Identifier: Apache-2.0
-- docs/boards.md, followed to the letter: its boards, commands and C files are taken out of its text, and nothing else
-- is put beside the program, installed or in place, but a checkpoint and an image. Skipped is what needs a compiler or
-- an emulator that is not there.
local sys = require "msagen.sys"
local json = require "msagen.json"
local cases = require "cases"
local tally = require "tally"
local must = tally.must

local work = tally.folder "own-boards"
local document = sys.read_file(tally.source .. "/docs/boards.md")
local CASE = "sam-2d-exact-windows"

--- The blocks of text that are indented by four, in order.
local blocks = {}
do
  local block
  for line in (document .. "\n"):gmatch "([^\n]*)\n" do
    local code = line:match "^    (.*)$"
    if code then
      block = block or {}
      block[#block + 1] = code
    elseif line == "" and block then block[#block + 1] = ""
    elseif block then
      blocks[#blocks + 1] = table.concat(block, "\n"):gsub("\n*$", "\n")
      block = nil
    end
  end
end

--- The one block whose first line begins so.
local function block_of(start)
  local found
  for _, block in ipairs(blocks) do
    if block:sub(1, #start) == start then
      assert(not found, "two blocks begin with " .. start)
      found = block
    end
  end
  return assert(found, "no block begins with " .. start)
end

--- Write a file of the document's, which its first line names.
local function take(name, path)
  sys.write_file(work .. "/" .. (path or name), block_of((name:match "%.lua$" and "-- " or "/* ") .. name))
end

--- Run a block of commands as a user would.
local function follow(start)
  return must { "sh", "-ec", block_of(start), cwd = work, env = { PATH = work .. "/bin:" .. os.getenv "PATH" } }
end

local function digests(output)
  local list = {}
  for digest in output:gmatch "digest (%x+)" do list[#list + 1] = digest end
  return list
end

local function missing(...)
  for _, program in ipairs { ... } do
    if not pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null",
      stderr = "/dev/null" }) then
      return "there is no " .. program
    end
  end
end
local no_linux, no_bare = missing("aarch64-linux-gnu-gcc", "qemu-aarch64"),
  missing("arm-none-eabi-gcc", "qemu-system-arm")

--- A test, or the reason why there is none.
local function test_with(lacking, title, body)
  if lacking then tally.skip(title, lacking) else tally.test(title, body) end
end
local function deep_with(lacking, title, body)
  if tally.full then test_with(lacking, title, body) end
end

sys.mkdir_p(work .. "/bin")
must { "ln", "-s", tally.program, work .. "/bin/msagen" }
must { "cp", cases.folder .. "/msa-paper-2d/checkpoint.pth", work .. "/thyroid.pth" }
local image = require "msagen.image"
image.write_png(work .. "/scan.png", image.read(tally.demo .. "/image.png"):slice(1, 150, 200):slice(2, 100, 240))

local expected -- digest
deep_with(no_linux, "a board with Linux, from nothing: the workstation's digest", function()
  take "cortex-a72.lua"
  local output = follow "msagen boards ./cortex-a72.lua"
  local found = digests(output)
  assert(output:find "\ncortex%-a72 +neon +f32%-fma%-1 +under qemu%-aarch64%f[%s]", output)
  assert(#found == 2 and found[1] == found[2], output)
  expected = found[2]
end)

test_with(no_bare, "a board without an operating system, from nothing: the workstation's digest, everything in its "
  .. "memory", function()
  take "rt1176.lua"
  local output = follow "msagen plan thyroid.pth"
  for thing, memory in pairs { arena = "ocram", weights = "flexspi2", code = "itcm" } do
    assert(output:find("\n  " .. thing .. " [^\n]* in " .. memory), output)
  end
  local here = cases.interpreted(tally.best, work .. "/thyroid.pth", "--dialect", "msa-paper", "--image",
    work .. "/scan.png", "--point", "100,90")
  local found = digests(output)
  assert(#found == 1 and found[1] == here, "another digest than the workstation's")
  assert(not expected or found[1] == expected, "another digest than under Linux")
end)

test_with(no_bare, "a board by its differences has the same flags, memories and start-up code", function()
  take "rt1176-short.lua"
  must { tally.program, "build", work .. "/thyroid.pth", "--dialect", "msa-paper", "--board",
    work .. "/rt1176-short.lua", "-o", work .. "/short" }
  for _, file in ipairs { "Makefile", "msa_board.ld", "msa_start.c", "msa_dwt.c", "msa_model.h" } do
    local function text(dir)
      return (sys.read_file(("%s/%s/%s"):format(work, dir, file)):gsub("rt1176%-short",
        "rt1176"):gsub('(RUN_BUILD=.")%x+', "%1"))
    end
    assert(text "short" == text "rt", file .. " differs")
  end
end)

-- What a product does, on a small model.

local case, folder, prompts = cases.read(CASE), cases.folder .. "/" .. CASE, work .. "/prompts.json"
sys.write_file(prompts, cases.prompts(CASE, case))
local strict = { "-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror" }

local function command(...)
  local list = {}
  for _, words in ipairs { ... } do
    for _, word in ipairs(type(words) == "table" and words or { words }) do list[#list + 1] = word end
  end
  return list
end

--- Build the case for a board into a folder; make what is asked for.
local function case_for(board, fw, options, ...)
  must(cases.build(CASE, case, board, fw, table.unpack(options)))
  must(command({ "make", "-j2", "-C", fw, "CFLAGS=-O1" }, { ... }))
end
local function digest(fw, ...)
  return cases.digest(must { tally.program, "run", fw, "--image", folder .. "/image.npy", "--prompts", prompts,
    "--digest", ... })
end

local here = work .. "/small"
case_for(tally.best, here, {})

tally.test("the watchdog is fed after every layer, and a deadline ends an encode, after which another goes its way",
  function()
  take "watchdog.c"
  sys.write_file(work .. "/main.c", [[
#include "msa_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void watchdog_feed(void);
msa_status encode_within(msa_session *s, const msa_image *image, uint64_t cycles);
static uint64_t now;
static unsigned fed;
uint64_t msa_cycles(void) { return now; }
void watchdog_feed(void) { ++fed; now += 100; }
static unsigned char arena[MSA_MODEL_ARENA_BYTES] __attribute__((aligned(64)));
static unsigned char weights[MSA_MODEL_WEIGHTS_BYTES] __attribute__((aligned(64)));
static uint8_t pixels[3 * 50 * 40];
static float logits[2][MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE], iou[MSA_MODEL_MASKS];
#define MUST(what) do { if (!(what)) { printf("line %d: %s\n", __LINE__, #what); exit(1); } } while (0)
int main(int argc, char **argv)
{
    FILE *const file = fopen(argv[argc - 1], "rb");
    MUST(file != NULL && fread(weights, 1, sizeof weights, file) == sizeof weights);
    for (size_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * i >> 3);
    const msa_image image = msa_rgb(pixels, 50, 40);
    const float click[1][2] = {{20.0f, 20.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {.points = click, .labels = label, .point_count = 1, .slices = 1};
    msa_mask first = {logits[0], iou, 0}, second = {logits[1], iou, 0};
    msa_session s;
    MUST(msa_open(&s, arena, sizeof arena, weights, sizeof weights) == MSA_OK);
    MUST(encode_within(&s, &image, 0) == MSA_OK && fed == MSA_MODEL_LAYERS_ENCODE);
    MUST(msa_segment(&s, &prompt, &first) == MSA_OK && fed == MSA_MODEL_LAYERS_ENCODE + MSA_MODEL_LAYERS_DECODE);
    fed = 0;
    MUST(encode_within(&s, &image, 250) == MSA_E_CANCELLED && fed == 3);
    MUST(msa_segment(&s, &prompt, &second) == MSA_E_ORDER);
    fed = 0;
    MUST(encode_within(&s, &image, 100 * MSA_MODEL_LAYERS_ENCODE) == MSA_OK && fed == MSA_MODEL_LAYERS_ENCODE);
    MUST(msa_segment(&s, &prompt, &second) == MSA_OK && memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
    return 0;
}
]])
  must(command("cc", strict, "-I", here, "-o", work .. "/watched", work .. "/main.c", work .. "/watchdog.c",
    here .. "/libmsa_model.a"))
  must { work .. "/watched", here .. "/msa_weights.bin" }
end)

tally.test("weights out of a flash memory by DMA, past a cache that is played: the digest of weights in memory",
  function()
  local fw = work .. "/fetched"
  must(cases.build(CASE, case, tally.best, fw, "--weights", "stream"))
  sys.write_file(fw .. "/runner/msa_run_fetch.c", "#define _POSIX_C_SOURCE 200809L\n" .. block_of "/* fetch.c" .. [[
#include "msa_run.h"
#include <string.h>
#include <unistd.h>
static struct { unsigned char *to; size_t bytes; uint64_t from; enum { IDLE, CLEANED, READING, DONE } state; } dma;
static void expect(int what) { if (!what) { fputs("fetch.c: cache and DMA out of order\n", stderr); exit(3); } }
void cache_clean_invalidate(void *p, size_t bytes)
{
    expect(dma.state == IDLE);
    dma.to = p, dma.bytes = bytes, dma.state = CLEANED;
}
int flash_read_dma(uint64_t offset, void *dst, size_t bytes)
{
    expect(dma.state == CLEANED && dst == dma.to && bytes == dma.bytes);
    dma.state = READING;
    dma.from = offset;
    return 0;
}
/* What was read ahead while the DMA wrote is seen until its lines are invalidated. */
int flash_dma_wait(void)
{
    expect(dma.state == READING);
    memset(dma.to, 0xff, dma.bytes);
    dma.state = DONE;
    return 0;
}
void cache_invalidate(void *p, size_t bytes)
{
    expect(dma.state == DONE && p == dma.to && bytes == dma.bytes
        && pread(msa_run_weights_file(), p, bytes, (off_t)dma.from) == (ssize_t)bytes);
    dma.state = IDLE;
}
]])
  must { "make", "-j2", "-C", fw, "CFLAGS=-O1" }
  assert(digest(fw, "--modified") == digest(here), "another digest than that of weights in memory")
end)

tally.test("three cores under an RTOS, played by POSIX semaphores: one core's digest", function()
  local fw = work .. "/team"
  must(cases.build(CASE, case, tally.best, fw, "--cores", "3"))
  sys.write_file(fw .. "/rtos.h", [[
#include <semaphore.h>
typedef sem_t semaphore;
static inline void give(semaphore *s) { sem_post(s); }
static inline void take(semaphore *s) { while (sem_wait(s) != 0) { } }
]])
  sys.write_file(fw .. "/msa_threads.c", block_of "/* team.c" .. [[
#include "msa_threads.h"
semaphore go[MSA_MODEL_CORES], leave[MSA_MODEL_CORES], arrived;
static void *boot(void *core) { worker(*(uint32_t *)core); return 0; }
int msa_threads_start(msa_threads *team, uint32_t cores)
{
    static uint32_t numbers[MSA_MAX_CORES];
    sem_init(&arrived, 0, 0);
    for (uint32_t i = 0; i < cores; ++i) {
        sem_init(&go[i], 0, 0);
        sem_init(&leave[i], 0, 0);
    }
    for (uint32_t i = 1; i < cores; ++i) {
        numbers[i] = i;
        if (pthread_create(&team->thread[i - 1u], 0, boot, &numbers[i]) != 0) return 1;
    }
    return 0;
}
void msa_threads_end(msa_threads *team) { (void)team; }
]])
  must { "make", "-j2", "-C", fw, "CFLAGS=-O1 -Wno-pedantic" }
  assert(digest(fw, "--modified") == digest(here), "another digest than one core's")
end)

-- The document's own counter in the place of the DWT's, beside the board's file.
local timed = work .. "/timed"
local function make_timed()
  sys.mkdir_p(work .. "/own/cortex-m")
  local text, count = block_of("-- rt1176.lua"):gsub('"msa_dwt"', '"msa_timer"')
  assert(count == 1, "no msa_dwt to replace")
  sys.write_file(work .. "/own/rt1176.lua", text)
  take("msa_timer.c", "own/cortex-m/msa_timer.c")
  case_for(work .. "/own/rt1176.lua", timed, {}, "lib", "start", "weights")
end

test_with(no_bare, "a product without an operating system: cycles of every layer, and its caches", function()
  make_timed()
  for _, name in ipairs { "layers.c", "cache.c" } do take(name) end
  sys.write_file(work .. "/product.c", [[
#include "msa_model.h"
void print_layer(uint32_t layer, uint64_t cycles);
msa_status encode_timed(msa_session *s, const msa_image *image);
void cache_clean(const void *p, size_t bytes);
void cache_invalidate(void *p, size_t bytes);
void cache_clean_invalidate(void *p, size_t bytes);
void msa_fault(void);
int main(void);
extern const unsigned char msa_weights[], msa_weights_end[];
static unsigned char arena[MSA_MODEL_ARENA_BYTES] __attribute__((aligned(MSA_ALIGNMENT)));
static uint8_t pixels[3 * 64 * 32] __attribute__((aligned(32)));
static float logits[MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE], iou[MSA_MODEL_MASKS];
static void host(int operation, const void *parameters)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
static void finish(uint32_t status)
{
    const uint32_t block[2] = {0x20026, status};
    host(0x20, block);
}
void msa_fault(void) { finish(99); }
void print_layer(uint32_t layer, uint64_t cycles)
{
    char text[] = "layer 000 0000000000000\n";
    for (char *digit = text + 22; digit >= text + 10; --digit, cycles /= 10u) *digit = (char)('0' + cycles % 10u);
    for (char *digit = text + 8; digit >= text + 6; --digit, layer /= 10u) *digit = (char)('0' + layer % 10u);
    host(0x04, text);
}
int main(void)
{
    msa_session s;
    cache_clean_invalidate(pixels, sizeof pixels);
    for (size_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * i >> 3);
    cache_clean(pixels, sizeof pixels);
    cache_invalidate(pixels, sizeof pixels);
    const float click[1][2] = {{20.0f, 20.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {.points = click, .labels = label, .point_count = 1, .slices = 1};
    msa_mask mask = {logits, iou, 0};
    msa_status status = msa_open(&s, arena, sizeof arena, msa_weights, (size_t)(msa_weights_end - msa_weights));
    const msa_image image = msa_rgb(pixels, 64, 32);
    if (status == MSA_OK) status = encode_timed(&s, &image);
    if (status == MSA_OK) status = msa_segment(&s, &prompt, &mask);
    cache_clean(logits, sizeof logits);
    finish((uint32_t)status);
    return 0;
}
]])
  local board, program, objects = require("target.boards").named(work .. "/own/rt1176.lua"), work .. "/product", {}
  for i, name in ipairs { "msa_start.o", "msa_memory.o", "msa_timer.o", "msa_weights.o", "libmsa_model.a" } do
    objects[i] = timed .. "/" .. name
  end
  must(command(board.compiler, strict, board.flags, "-I", timed, "-nostdlib", "-T", timed .. "/msa_board.ld", "-o",
    program, work .. "/product.c", work .. "/layers.c", work .. "/cache.c", objects))
  local emulator = {}
  for i, word in ipairs(board.emulator) do emulator[i] = word:gsub("{(%l+)}", { program = program, arguments = "" }) end
  local output, count = must(emulator), 0
  local encode = 0
  for _, layer in ipairs(json.decode(sys.read_file(timed .. "/manifest.json"), "manifest.json").layers) do
    encode = encode + (layer.phase == "encode" and 1 or 0)
  end
  for layer, cycles in output:gmatch "layer (%d+) (%d+)\n" do
    assert(tonumber(layer) == count and tonumber(cycles) > 0, output)
    count = count + 1
  end
  assert(count == encode, output)
end)

test_with(no_bare, "a profile counts cycles where the board has a counter, and says so", function()
  local path = work .. "/profile.json"
  local text = must { tally.program, "run", timed, "--profile", path, "--bench", "1" }
  local p = json.decode(sys.read_file(path), path)
  assert(p.clock == "cycles" and p.clock_hz == 996000000 and p.emulated == true, ("clock %s"):format(p.clock))
  local sum = { encode = 0, decode = 0 }
  for _, row in ipairs(p.layers) do
    assert(math.type(row.cycles) == "integer" and row.cycles > 0 and row.macs_per_cycle == row.macs / row.cycles,
      row.name)
    sum[row.phase] = sum[row.phase] + row.cycles
  end
  for phase, cycles in pairs(sum) do
    assert(math.abs(p[phase].cycles - cycles) <= #p.layers and p[phase].cycles <= 1.001 * p[phase].whole_ms * 996000,
      phase)
  end
  assert(text:find "by cycles at a nominal%s+996 MHz; emulated: times are not the board's"
    and text:find("MAC/cycle", 1, true), text:sub(1, 300))
end)

deep_with(no_bare, "without one, as in qemu, it takes the host's time", function()
  sys.write_file(work .. "/own/rt1176.lua", block_of "-- rt1176.lua")
  local fw, path = work .. "/untimed", work .. "/profile.json"
  case_for(work .. "/own/rt1176.lua", fw, {})
  must { tally.program, "run", fw, "--profile", path, "--bench", "1" }
  local p = json.decode(sys.read_file(path), path)
  assert(p.clock == "wall" and p.clock_hz == nil and p.encode.cycles == nil and p.encode.ms > 0,
    ("clock %s"):format(p.clock))
end)

tally.test("nothing was written into msagen's own folder", function()
  for _, name in ipairs(require("target.boards").names()) do assert(name ~= "rt1176" and name ~= "cortex-a72") end
end)
return tally.finish()
