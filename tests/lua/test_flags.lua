-- SPDX-License-Identifier: Apache-2.0
-- Compiler flags that change values, and builds without the Makefile: generated code is refused when it is compiled or
-- opened, or its results are the same bits. It never compiles, opens and computes something else.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
if not spec.compiles() then return end
local tiny = require "tiny_model"
local tier = require "tier"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-flags-")
sys.cleanup(work)

-- Opens, encodes a picture, segments it twice, enlarges; prints the status, then the CRC-32C of all that came out.
local MAIN = [[
#define _ISOC11_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include "msa_model.h"
#include "msa_runtime.h"
enum { W = 37, H = 29, SIDE = MSA_MODEL_MASK_SIDE };
int main(int argc, char **argv)
{
    void *const arena = aligned_alloc(64, (MSA_MODEL_ARENA_BYTES + 63) / 64 * 64);
    void *const weights = aligned_alloc(64, (MSA_MODEL_WEIGHTS_BYTES + 63) / 64 * 64);
    FILE *const file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (arena == NULL || weights == NULL || file == NULL) return 2;
    if (fread(weights, 1, MSA_MODEL_WEIGHTS_BYTES, file) != MSA_MODEL_WEIGHTS_BYTES) return 2;
    static uint8_t pixels[H * W * 3];
    static float logits[MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE * SIDE], iou[MSA_MODEL_DEPTH * MSA_MODEL_MASKS];
    static float row[1024], between[2 * 4096];
    for (uint32_t i = 0; i < sizeof pixels; ++i) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    static msa_session s;
    msa_status status = msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
    const float points[2][2] = {{11.3f, 7.9f}, {30.1f, 20.7f}}, box[1][4] = {{3.7f, 2.1f, 33.3f, 21.9f}};
    const int8_t labels[2] = {1, 0};
    uint32_t crc = 0;
    if (status == MSA_OK) { const msa_image image = msa_rgb(pixels, W, H); status = msa_encode(&s, &image); }
    for (int again = 0; again < 2 && status == MSA_OK; ++again) {
        msa_mask mask = {logits, iou, 0};
        const msa_prompt prompt = {points, labels, 2, again ? box : NULL, again ? logits : NULL, true, 1, false, 0};
        status = msa_segment(&s, &prompt, &mask);
        crc = msa_crc32c(crc, logits, mask.masks * sizeof(float) * SIDE * SIDE);
        crc = msa_crc32c(crc, iou, mask.masks * sizeof(float));
    }
    msa_upsampler u;
    msa_upsample_init(&u, logits, SIDE, MSA_MODEL_RESIZE_LONGEST ? MSA_MODEL_INPUT_SIZE : 0, 131, 97, between);
    for (uint32_t y = 0; y < 97 && status == MSA_OK; ++y) {
        msa_upsample_row(&u, y, row);
        crc = msa_crc32c(crc, row, 131 * sizeof(float));
    }
    printf("%d %08x\n", (int)status, crc);
    return 0;
}
]]

-- The Makefile's flags and none of the board's optimisation; then what a build of one's own may say instead. Those
-- marked > are whole compilations that tell little more than others: the full tier has them, too.
local STRICT = "-std=c99 -ffp-contract=off -fno-math-errno"
local BOTH = { "> -std=gnu99", "> -std=c99", "-std=c99 -ffp-contract=fast", "> -std=gnu99 -ffp-contract=fast",
  "> -std=c99 -ffp-contract=on", STRICT .. " -ffast-math", STRICT .. " -Ofast",
  STRICT .. " -ffinite-math-only", "> " .. STRICT .. " -fassociative-math",
    "> " .. STRICT .. " -fassociative-math -fno-signed-zeros -fno-trapping-math",
  "> " .. STRICT .. " -freciprocal-math",
  "> " .. STRICT .. " -fno-signed-zeros", STRICT .. " -funsafe-math-optimizations",
    "> " .. STRICT .. " -fsingle-precision-constant", "> " .. STRICT .. " -frounding-math",
  "> " .. STRICT .. " -fno-trapping-math", "> " .. STRICT .. " -mrecip" }
local FLAGS = {
  gcc = { "> " .. STRICT .. " -fsingle-precision-constant", STRICT .. " -mfpmath=387", STRICT .. " -mfpmath=both",
    "> " .. STRICT .. " -fexcess-precision=fast", "> " .. STRICT .. " -Ofast -fno-fast-math" },
  ["clang-14"] = { STRICT .. " -ffp-model=fast", "> " .. STRICT .. " -fapprox-func",
    "> " .. STRICT .. " -fno-honor-nans -fno-honor-infinities",
    "> " .. STRICT .. " -fdenormal-fp-math=preserve-sign", "> " .. STRICT .. " -ffp-model=strict" },
}
-- What is refused, whatever it would come to.
local REFUSED = { "-ffast-math", "-Ofast$", "-ffinite-math-only", "-funsafe-math", "-mfpmath", "-ffp-model=fast" }

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function spawn(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  return sys.spawn(command)
end

--- What becomes of a folder's C files under some flags: "refused" and the compiler's words, or "opened", status and
-- sum.
local function outcome(dir, compiler, flags)
  local files, objects = {}, work .. "/objects"
  for _, name in ipairs(sys.list(dir)) do
    if name:match "%.c$" then files[#files + 1] = dir .. "/" .. name end
  end
  -- The smallest file that computes comes first: what it refuses need not be compiled further.
  local function compile(sources, more)
    local command = table.move(words(flags), 1, #words(flags), 4, { compiler, "-O1", "-w" })
    table.move(more, 1, #more, #command + 1, command)
    table.move(sources, 1, #sources, #command + 1, command)
    return spawn(command)
  end
  local status, said = compile({ dir .. "/msa_image.c" }, { "-c", "-o", objects .. ".o" })
  if status ~= 0 then return "refused", said end
  files[#files + 1] = work .. "/main.c"
  status, said = compile(files, { "-I", dir, "-o", objects })
  if status ~= 0 then return "refused", said end
  local result = tiny.must { objects, dir .. "/msa_weights.bin" }
  return "opened", tonumber(result:match "^%d+"), result:match "%x+$" or result:match "(%x+)%s*$"
end

sys.write_file(work .. "/main.c", MAIN)
local boards = tiny.boards()
local best = boards[#boards]
local device = tiny.device(work, "plain")
local FINE, FLAGS_STATUS, ENVIRONMENT = 0, 30, 3

--- One test for each of a list of flags, on top of the board's and `extra`.
local function tests(board, compiler, extra, list)
  local dir = ("%s/%s"):format(work, board.name)
  if not sys.exists(dir) then
    device.board = board.name
    tiny.build(device, dir)
  end
  local own = table.concat(board.flags, " ") .. " " .. extra
  describe(("%s by %s"):format(board.name, compiler), function()
    local how, status, expected = outcome(dir, compiler, own .. STRICT)
    it("opens as the Makefile compiles it", function() equal({ how, status }, { "opened", FINE }) end)
    for _, flags in ipairs(list) do
      if flags:sub(1, 2) == "> " then
        if not tier.full then goto next end
        flags = flags:sub(3)
      end
      if not tier.sampled(compiler .. flags, 2) then goto next end
      it("is no other with " .. extra .. flags, function()
        local became, code, sum = outcome(dir, compiler, own .. flags)
        if became == "refused" then
          if not code:find "unknown argument" and not code:find "unrecognized" and not code:find "unsupported" then
            holds(code, "msa: ")
          end
        elseif code == FINE then equal(sum, expected)
        else assert(code == FLAGS_STATUS or code == ENVIRONMENT, "status " .. code) end
        for _, pattern in ipairs(REFUSED) do
          if flags:find(pattern) then assert(became == "refused" or code ~= FINE, "not refused") end
        end
      end)
      ::next::
    end
  end)
end

for compiler, more in pairs(FLAGS) do
  tests(best, compiler, "", table.move(more, 1, #more, #BOTH + 1, table.move(BOTH, 1, #BOTH, 1, {})))
end
-- A board of plain C whose instructions come with the CPU of whoever compiles.
if best.isa.name:match "^avx" then
  for _, compiler in ipairs { "gcc", tier.full and "clang-14" or nil } do
    tests(require("target.boards").named "generic-c99", compiler, "-mfma ", { "-std=gnu99",
      "> -std=c99 -ffp-contract=fast" })
  end
end

describe("without the board's flags", function()
  it("the compiler is told of them", function()
    if not best.isa.macros then return end
    local dir = ("%s/%s"):format(work, best.name)
    local status, said = spawn { "gcc", "-std=gnu99", "-O1", "-c", "-o", work .. "/none.o", dir .. "/msa_kernels.c" }
    assert(status ~= 0)
    holds(said, "compile with the flags of the Makefile beside this file: " .. table.concat(best.flags, " "))
  end)
end)
