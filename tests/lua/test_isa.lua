-- SPDX-License-Identifier: Apache-2.0
-- Instruction sets: every vector operation does to each lane what msa_arith.h says of scalars, also with NaN,
-- infinities, zeros of both signs and subnormals.
-- Where vectors flush subnormals, it does so or says that it does not, and what is computed again does.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end
local template, tiny = require "support.template", require "tiny_model"
local activations, expressions = require "graph.activations", require "graph.expressions"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-isa-")
sys.cleanup(work)

local PROGRAM = [[
#include "msa_simd.h"
#include <math.h>
#include <stdio.h>
@ for _, text in ipairs(functions) do
$(text)
@ end
enum { W = $(isa.width) };
static float values[] = { 0.0f, -0.0f, 1.0f, -1.0f, 1.5f, -3.25f, 0x1.000002p0f, -0x1.fffffep0f, 3.0e-20f, -7.1e19f,
    FLT_MIN, -FLT_MIN, 1e-45f, -5e-42f, 0x1.8p-127f, FLT_MAX, -FLT_MAX,
    INFINITY, -INFINITY, NAN, MSA_EXP_CUT, -0x1.e00002p5f, -0x1.dffffep5f, -59.5f, -88.0f, -0.7f, 11.0f, 0x1.5p-12f };
enum { COUNT = sizeof values / sizeof *values };
@ if isa.flushes then
static int flushed, kept;
@ end
static int wrong;
static void exactly(const char *what, msa_vec v, int lane, float expected, float a, float b, float c)
{
    float got[W];
    msa_store(got, v);
    if (msa_bits(got[lane]) != msa_bits(expected) && !(isnan(got[lane]) && isnan(expected)) && wrong++ < 4)
        printf("%s of %08lx, %08lx, %08lx: expected %08lx, found %08lx\n", what, (unsigned long)msa_bits(a),
            (unsigned long)msa_bits(b), (unsigned long)msa_bits(c), (unsigned long)msa_bits(expected),
            (unsigned long)msa_bits(got[lane]));
}
static void same(const char *what, msa_vec v, int lane, float expected, float a, float b, float c)
{
@ if isa.flushes then
    v = msa_hold(v);
    if (msa_flushed()) {
        msa_clear_flushed();
        flushed++;
        return;
    }
    kept++;
@ end
    exactly(what, v, lane, expected, a, b, c);
}
int main(void)
{
    for (int i = 0; i < COUNT; ++i) for (int j = 0; j < COUNT; ++j) for (int k = 0; k < COUNT; ++k) {
        /* Every lane has other numbers, and the one that is looked at changes. */
        const int lane = (i + j + k) % W;
        float a[W], b[W], c[W];
        for (int n = 0; n < W; ++n) {
            a[n] = values[(i + n - lane + COUNT) % COUNT];
            b[n] = values[(j + 2 * (n - lane + COUNT)) % COUNT];
            c[n] = values[(k + 3 * (n - lane + COUNT)) % COUNT];
        }
        const float x = a[lane], y = b[lane], z = c[lane];
@ if isa.flushes then
        /* They may change wherever flags are cleared, as a kernel's arguments may. */
        __asm__ volatile("" : : "r"(a), "r"(b), "r"(c) : "memory");
@ end
@ for _, v in ipairs { "a", "b", "c" } do
@   if isa.flushes then
#define v$(v) msa_load($(v)) /* behind the last question */
@   else
        const msa_vec v$(v) = msa_load($(v));
@   end
@ end
        same("fma", msa_vfma(va, vb, vc), lane, msa_fma(x, y, z), x, y, z);
        same("select", msa_vselect(va, vb, vc, va), lane, msa_select(x, y, z, x), x, y, z);
@ if isa.zip_low then
        exactly("zip_low", msa_vzip_low(va, vb), lane, (lane % 2 == 0 ? a : b)[lane / 2], x, y, z);
        exactly("zip_high", msa_vzip_high(va, vb), lane, (lane % 2 == 0 ? a : b)[(lane + W) / 2], x, y, z);
@ end
        same("zero_below", msa_vzero_below(va, vb, vc), lane, x < y ? 0.0f : z, x, y, z);
@ if isa.fma_scalar then
        same("fma_scalar", msa_vfma_scalar(x, vb, vc), lane, msa_fma(x, y, z), x, y, z);
@ end
@ if isa.fma_lane then
@   for n = 0, isa.width - 1 do
        same("fma_lane", msa_vfma_lane$(n)(va, vb, vc), lane, msa_fma(a[$(n)], y, z), a[$(n)], y, z);
@   end
@ end
@ if isa.flushes then
        exactly("exact fma", msa_exact_vfma(va, vb, vc), lane, msa_fma(x, y, z), x, y, z);
        exactly("exact add", msa_exact_vadd(va, vb), lane, x + y, x, y, 0);
        exactly("exact sub", msa_exact_vsub(va, vb), lane, x - y, x, y, 0);
        exactly("exact mul", msa_exact_vmul(va, vb), lane, x * y, x, y, 0);
        msa_clear_flushed(); /* what scalars set */
@ end
        if (k) continue;
        same("splat", msa_splat(x), j % W, x, x, 0, 0);
        same("add", msa_vadd(va, vb), lane, x + y, x, y, 0);
        same("sub", msa_vsub(va, vb), lane, x - y, x, y, 0);
        same("mul", msa_vmul(va, vb), lane, x * y, x, y, 0);
        same("div", msa_vdiv(va, vb), lane, x / y, x, y, 0);
        same("max", msa_vmax(va, vb), lane, msa_max(x, y), x, y, 0);
        same("abs", msa_vabs(va), lane, msa_from_bits(msa_bits(x) & 0x7fffffffu), x, 0, 0);
        same("scale", msa_vscale(va, vb), lane, msa_from_bits(msa_bits(x) + (msa_bits(y) << 23)), x, y, 0);
        same("min", msa_vmin(va, vb), lane, msa_min(x, y), x, y, 0);
        exactly("exponent", msa_vexponent(va), lane, msa_exponent(x), x, 0, 0);
        exactly("mantissa", msa_vmantissa(va), lane, msa_mantissa(x), x, 0, 0);
        exactly("low16", msa_vlow16(va), lane, (float)(int16_t)(msa_bits(x) & 0xffffu), x, 0, 0);
        exactly("high16", msa_vhigh16(va), lane, (float)(int16_t)(msa_bits(x) >> 16), x, 0, 0);
        same("log2_near", msa_vlog2_near(va), lane, msa_log2_near(x), x, 0, 0);
@ for _, name in ipairs(names) do
        same("$(name)", msa_v$(name)(va), lane, msa_$(name)(x), x, 0, 0);
@ end
        if (x <= 0.0f) same("exp", msa_vexp(va), lane, msa_exp(x), x, 0, 0);
    }
@ if isa.load_some then
    for (int n = 1; n <= W; ++n) {
        float from[W + 1], to[W], kept[W];
        for (int i = 0; i <= W; ++i) from[i] = i <= n ? values[i + 2] : NAN;
        for (int i = 0; i < W; ++i) to[i] = -7.0f;
        const msa_vec v = msa_load_some(from + 1, (size_t)n);
        msa_store_some(to, msa_load(values + 4), (size_t)n);
        msa_store(kept, msa_some(msa_load(values + 4), (size_t)n));
        for (int i = 0; i < W; ++i) {
            exactly("load_some", v, i, i < n ? from[i + 1] : 0.0f, (float)n, 0, 0);
            exactly("store_some", msa_load(to), i, i < n ? values[i + 4] : -7.0f, (float)n, 0, 0);
            exactly("some", msa_load(kept), i, i < n ? values[i + 4] : 0.0f, (float)n, 0, 0);
        }
    }
@ end
@ if isa.flushes then
    if (flushed < 1000 || kept < 1000) printf("%d times flushed, %d times not\n", flushed, kept);
@ end
    printf("%d wrong\n", wrong);
    return 0;
}
]]

-- What a program has beside msa_simd.h: the scalars of activations, and some activations that the tree has not.
local function more(isa)
  local functions, names = {}, {}
  for _, name in ipairs(activations.computed) do
    names[#names + 1] = name
    local entry = activations.entries[name]
    if not isa.flushes then functions[#functions + 1] = entry.steps:scalar(entry.scalar) end
  end
  local max, min, abs, exp, select = expressions.max, expressions.min, expressions.abs, expressions.exp,
    expressions.select
  for name, value in pairs {
    relu6 = function(x) return min(max(x, 0), 6) end,
    hard_swish = function(x) return x * min(max(x + 3, 0), 6) * (1 / 6) end,
    silu = function(x)
      local e = exp(-abs(x))
      return x * select(x, 0, e, 1) / (1 + e)
    end,
  } do
    local steps = expressions.of(value)
    functions[#functions + 1] = steps:scalar("msa_" .. name) .. steps:vector("msa_v" .. name)
    names[#names + 1] = name
  end
  return functions, names
end

local function check(board, isa, dir)
  local functions, names = more(isa)
  sys.mkdir_p(dir)
  sys.write_file(dir .. "/msa_simd.h", template.file(msagen.datadir .. "/templates", "simd.h",
    { isa = isa, made_by = "", flags = "" }))
  sys.write_file(dir .. "/msa_arith.h",
    require "emit.emit".arith(sys.read_file(msagen.datadir .. "/runtime/msa_arith.h"), board.arithmetic))
  sys.write_file(dir .. "/isa.c", template.render(PROGRAM, "program", { isa = isa, functions = functions,
    names = names }))
  tiny.compile(board, { "-std=c99", "-O2", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Werror", "-I", dir },
    dir .. "/isa.c", dir .. "/isa")
  equal(tiny.must(tiny.command(board, dir .. "/isa")), "0 wrong\n")
end

local here = tiny.boards()
if spec.compiles() then
  for _, board in ipairs(tiny.emulated()) do here[#here + 1] = board end
else
  here = { here[#here] }
end
describe("vector operations are the scalar ones in every lane:", function()
  for _, board in ipairs(here) do
    it(board.isa.name .. " in " .. board.arithmetic, function() check(board, board.isa, work .. "/" .. board.name) end)
    if board.isa.select and board.isa.width > 1 then
      it(board.isa.name .. " where its file says neither min nor select", function()
        local bare = setmetatable({ min = false, select = false }, { __index = board.isa })
        check(board, bare, work .. "/" .. board.name .. "-bare")
      end)
    end
  end
end)
