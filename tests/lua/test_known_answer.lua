-- SPDX-License-Identifier: Apache-2.0
-- The self-test: what plain loops computed at generation is what the generated code computes, on every board; and where
-- the code, its constants or its weights are changed, it says so.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end
if not spec.compiles() then return end
local tiny = require "tiny_model"
local tier = require "tier"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-known-")
sys.cleanup(work)

local MAIN = [[
#include <stdio.h>
#include <stdlib.h>
#include "msa_model.h"
int main(int argc, char **argv)
{
    void *const arena = aligned_alloc(64, (MSA_MODEL_ARENA_BYTES + 63) / 64 * 64);
    void *const weights = aligned_alloc(64, (MSA_MODEL_WEIGHTS_BYTES + 63) / 64 * 64);
    FILE *const file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (arena == NULL || weights == NULL || file == NULL) return 2;
    if (fread(weights, 1, MSA_MODEL_WEIGHTS_BYTES, file) != MSA_MODEL_WEIGHTS_BYTES) return 2;
    msa_session session;
    msa_status status = msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
    if (status == MSA_OK) status = msa_self_test(&session);
    printf("%d\n", (int)status);
    return 0;
}
]]
local OK, ARITHMETIC, DAMAGED, DIFFERENT = 0, 8, 10, 21 -- msa.h; numbers are never reused

--- The status of opening and of the self-test of what is in dir now.
local function verdict(dir)
  tiny.must { "make", "-C", dir, "CFLAGS=-O0", "lib" }
  sys.write_file(work .. "/main.c", MAIN)
  tiny.must { "gcc", "-std=c11", "-I", dir, "-o", work .. "/main", work .. "/main.c", dir .. "/libmsa_model.a" }
  return tonumber(tiny.must { work .. "/main", dir .. "/msa_weights.bin" })
end

local function built(name, board)
  local device, dir = tiny.device(work, name), ("%s/%s-%s"):format(work, name, board)
  device.board = board
  tiny.build(device, dir)
  return dir
end

describe("the self-test passes", function()
  local boards = tiny.boards()
  local best = { boards[#boards] }
  local some = tier.full and boards or { tier.chosen(boards, "self-test") }
  for _, case in ipairs { { "plain", some }, { "adapted", best }, { "least", best },
    { "late", tier.full and best or {} }, { "wide", tier.full and best or {} } } do
    local name = case[1]
    for _, board in ipairs(case[2]) do
      it(name .. " on " .. board.name, function() equal(verdict(built(name, board.name)), OK) end)
    end
  end
end)

describe("weights of another class of arithmetic", function()
  it("are refused at opening", function()
    local fma, muladd = built("plain", "generic-c99"), built("plain", "generic-c99-nofma")
    local a, b = sys.read_file(fma .. "/msa_weights.bin"), sys.read_file(muladd .. "/msa_weights.bin")
    assert(a ~= b)
    sys.write_file(fma .. "/msa_weights.bin", b)
    sys.write_file(muladd .. "/msa_weights.bin", a)
    equal({ verdict(fma), verdict(muladd) }, { ARITHMETIC, ARITHMETIC })
  end)
end)

describe("the self-test reports", function()
  local dir = built("adapted", "generic-c99")

  --- The verdict with one file changed; the file is put back.
  local function with(file, change, folder)
    local dir = folder or dir
    local path = dir .. "/" .. file
    local text = sys.read_file(path)
    local changed = change(text)
    assert(changed ~= text and #changed > 0, file .. " was not changed")
    sys.write_file(path, changed)
    local said = verdict(dir)
    sys.write_file(path, text)
    return said
  end
  local function replacing(pattern, by, which)
    return function(text)
      local n = 0
      return (text:gsub(pattern, function(found)
        n = n + 1
        if n == (which or 1) then return (found:gsub(pattern, by)) end
      end))
    end
  end
  it("a constant of GELU, in its last digits", function()
    equal(with("msa_simd.h", replacing("0%.0980073884f", "0.09800740f")), DIFFERENT)
  end)
  if tier.full then it("a constant of exp, in its last digit", function()
    equal(with("msa_arith.h", replacing("MSA_EXP_C2 0%.4999999403953552f", "MSA_EXP_C2 0.49999991f")), DIFFERENT)
  end) end
  if tier.full then it("a fused multiply-add that rounds twice", function()
    -- What a compiler does that is told to contract, or not to: here to every product.
    equal(with("msa_arith.h", function(text)
      return (text:gsub("static inline float msa_fma%(float a, float b, float c%)\n{",
        "%0\n    if (a == a) return a * b + c;"))
    end), DIFFERENT)
  end) end
  it("multiply-adds that are fused where two roundings are the definition", function()
    local nofma = built("adapted", "generic-c99-nofma")
    if tier.full then
      equal(with("msa_arith.h", replacing("#if MSA_ARITHMETIC_MULADD\n    return a %* b %+ c;\n#elif", "#if"), nofma),
        DIFFERENT)
    end
    equal(with("msa_simd.h", replacing("msa_vadd%(msa_vmul%(a, b%), c%)", "(float)((double)a * (double)b + (double)c)"),
      nofma), DIFFERENT)
    equal(verdict(nofma), OK)
  end)
  it("another order of the partial sums", function()
    equal(with("msa_simd.h", replacing("return %(a0 %+ a2%) %+ %(a1 %+ a3%)", "return (a0 + a1) + (a2 + a3)")),
      DIFFERENT)
  end)
  it("another epsilon of layer norm", function()
    equal(with("msa_kernels.c", function(text)
      return (text:gsub("(msa_sum16%(part%) / [%d.]+f %+ )eps", "%12e-06f"))
    end), DIFFERENT)
  end)
  it("another answer", function()
    equal(with("msa_known_answer.c", function(text)
      return (text:gsub("0x(%x%x%x%x%x%x%x)(%x)u", function(head, digit)
        return ("0x%s%xu"):format(head, tonumber(digit, 16) ~ 1)
      end))
    end), DIFFERENT)
  end)
  it("a bit of the weights, wherever it is", function()
    local size = sys.size(dir .. "/msa_weights.bin")
    for _, place in ipairs { 5000, size // 3, size // 2, size - 70 } do
      local said = with("msa_weights.bin", function(bytes)
        return bytes:sub(1, place - 1) .. string.char(bytes:byte(place) ~ 16) .. bytes:sub(place + 1)
      end)
      equal(said, DAMAGED)
    end
  end)
  it("nothing once all is as it was", function() equal(verdict(dir), OK) end)
end)
