-- SPDX-License-Identifier: Apache-2.0
-- Kernels of the backward pass: compiled for every board that this CPU or an emulator runs, bit for bit what loops in
-- plain C give, at shapes that divide nothing, with NaN beside the data; also where operands and results underflow.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end
local activations, kernels = require "graph.activations", require "kernels.kernels"
local template, tier, tiny = require "support.template", require "tier", require "tiny_model"
local folder = msagen.datadir .. "/templates"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-training-kernels-")
sys.cleanup(work)

local round16, stride = kernels.round16, kernels.stride

local HARNESS = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "msa_simd.h"
$(kernels)
static float memory[$(room)] __attribute__((aligned(64))); /* of one case */
static size_t used;
static uint32_t state = 1;
static unsigned tiny; /* whether numbers are about where products and sums underflow */
static uint32_t draw(uint32_t n)
{
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return (state >> 5) % n;
}
static float *room(size_t n)
{
    float *p = memory + used;
    used += (n + 32 + 15) / 16 * 16;
    if (used > sizeof memory / sizeof *memory) exit(2);
    for (size_t i = 0; i < n + 32; ++i) p[i] = msa_from_bits(0x7fc00000u);
    return p;
}
static float *zeros(size_t n)
{
    float *p = room(n);
    for (size_t i = 0; i < n; ++i) p[i] = 0.0f;
    return p;
}
static float number(uint32_t exponent)
{
    const uint32_t kind = draw(24);
    if (kind == 0) return 0.0f;
    if (kind == 1) return -0.0f;
    if (kind == 2 && tiny) return msa_from_bits(draw(2) << 31 | draw(1u << 23));
    return msa_from_bits(draw(2) << 31 | (127u - exponent + draw(3)) << 23 | draw(1u << 23));
}
static float *take(size_t rows, size_t width, size_t ld)
{
    static const uint32_t scales[] = { 64, 126, 66, 1, 100, 30, 118, 60 };
    float *p = room((rows - 1) * ld + width);
    for (size_t i = 0; i < rows; ++i) {
        const uint32_t scale = tiny ? scales[draw(8)] : draw(4);
        for (size_t j = 0; j < width; ++j) {
            float *const to = p + i * ld + j;
            *to = number(scale);
            if (j % 2 == 1 && draw(2) != 0 && to[-1] != 0.0f) {
                *to = msa_from_bits((msa_bits(to[-1]) ^ 0x80000000u) + draw(2));
            }
        }
    }
    return p;
}
/* A matrix of the input. */
static float *given(size_t rows, size_t width, size_t ld)
{
    float *p = room((rows - 1) * ld + width);
    for (size_t i = 0; i < rows; ++i) {
        if (fread(p + i * ld, sizeof *p, width, stdin) != width) exit(3);
    }
    return p;
}
static float *copy(const float *p, size_t n)
{
    float *q = room(n);
    memcpy(q, p, n * sizeof *q);
    return q;
}
/* Whether rows of two matrices have the same bits; all of them go into a sum. */
static void same(const char *title, const float *got, size_t ldg, const float *expected, size_t lde, size_t rows,
    size_t width)
{
    uint32_t sum = 0, subnormal = 0;
    for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < width; ++j) {
            const uint32_t a = msa_bits(got[i * ldg + j]), b = msa_bits(expected[i * lde + j]);
            if (a != b) {
                printf("%s: row %u, column %u: expected %08lx, found %08lx\n", title, (unsigned)i, (unsigned)j,
                    (unsigned long)b, (unsigned long)a);
                return;
            }
            sum = (sum ^ b) * 0x9e3779b1u, sum ^= sum >> 15;
            subnormal += (b & 0x7f800000u) == 0u && (b & 0x7fffffffu) != 0u;
        }
    }
    printf("%s: as it should be: %08lx, %u subnormal\n", title, (unsigned long)sum, (unsigned)subnormal);
}

/* ---- the definitions ---- */

static float sum16(const float *x, size_t n)
{
    float part[16] = { 0.0f };
    for (size_t k = 0; k < n; ++k) part[k % 16] = part[k % 16] + x[k];
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t k = 0; k < half; ++k) part[k] = part[k] + part[k + half];
    }
    return part[0];
}
static float dot16(const float *x, const float *y, size_t n)
{
    float part[16] = { 0.0f };
    for (size_t k = 0; k < n; ++k) part[k % 16] = msa_fma(x[k], y[k], part[k % 16]);
    for (size_t half = 8; half > 0; half /= 2) {
        for (size_t k = 0; k < half; ++k) part[k] = part[k] + part[k + half];
    }
    return part[0];
}
static void normed(const float *x, size_t C, float eps, float *h, float *rstd)
{
    const float mean = sum16(x, C) / (float)C;
    for (size_t k = 0; k < C; ++k) h[k] = x[k] - mean;
    *rstd = 1.0f / msa_sqrt(dot16(h, h, C) / (float)C + eps);
    for (size_t k = 0; k < C; ++k) h[k] = h[k] * *rstd;
}
static void layernorm_dx(const float *dy, const float *x, const float *gamma, float *z, size_t C, float eps)
{
    float h[1024], t[1024], rstd;
    normed(x, C, eps, h, &rstd);
    for (size_t k = 0; k < C; ++k) t[k] = dy[k] * gamma[k];
    const float m1 = sum16(t, C) / (float)C, m2 = dot16(t, h, C) / (float)C;
    for (size_t k = 0; k < (C + 15) / 16 * 16; ++k) z[k] = k < C ? msa_fma(-h[k], m2, t[k] - m1) * rstd : 0.0f;
}
/* Blocks of 64 rows, each a chain; without x a sum, else of dy times x's rows as the layer norm has them. */
static void columns(const float *dy, size_t ldy, const float *x, size_t ldx, float *acc, size_t rows, size_t C,
    float eps)
{
    for (size_t k = 0; k < (C + 15) / 16 * 16; ++k) acc[k] = 0.0f;
    for (size_t first = 0; first < rows; first += 64) {
        float part[1024] = { 0.0f }, h[1024], rstd;
        for (size_t i = first; i < rows && i < first + 64; ++i) {
            if (x != NULL) normed(x + i * ldx, C, eps, h, &rstd);
            for (size_t k = 0; k < C; ++k) {
                part[k] = x != NULL ? msa_fma(dy[i * ldy + k], h[k], part[k]) : part[k] + dy[i * ldy + k];
            }
        }
        for (size_t k = 0; k < C; ++k) acc[k] = first == 0 ? part[k] : acc[k] + part[k];
    }
}
static void softmax(float *s, size_t keys, size_t count)
{
    float top = s[0];
    for (size_t k = 1; k < count; ++k) top = msa_max(top, s[k]);
    for (size_t k = 0; k < count; ++k) s[k] = msa_exp(s[k] - top);
    const float sum = sum16(s, count);
    for (size_t k = 0; k < (keys + 15) / 16 * 16; ++k) s[k] = k < count ? s[k] / sum : 0.0f;
}
$(derivatives)
int main(void)
{
    for (tiny = 0; tiny < 2; ++tiny) {
$(body)
    }
$(attention)
    return 0;
}
]]

local differentiable = {}
for _, name in ipairs(activations.computed) do
  if activations.entries[name].gradient then differentiable[#differentiable + 1] = name end
end

-- The cases: each writes C for one board's set of kernels; whatever is drawn is drawn alike on all.
local cases = {}

function cases.elementwise(p)
  local rows, C = 5, 37
  local ld, ldz = stride(C), stride(C) + 32
  p.case(function()
    p.c("float *x = take(%d, %d, %d), *y = take(%d, %d, %d), *z = room(%d), *w = room(%d);", rows, round16(C), ld, rows,
      round16(C), ldz, rows * ldz, rows * ldz)
    p.kernel(p.set:rows("scaled", { rows = rows, C = C, ldx = ld, ldz = ldz, s = 0.7 }), "x", "z")
    p.each(rows, C, "w[i * %d + j] = x[i * %d + j] * 0.7f;", ldz, ld)
    p.same("scaled", "z", ldz, "w", ldz, rows, C)
    for _, act in ipairs(differentiable) do
      p.kernel(p.set:act_dx { f = act, rows = rows, C = C, ldx = ld, ldy = ldz, ldz = ldz }, "y", "x", "z")
      p.each(rows, C, "w[i * %d + j] = y[i * %d + j] * definition_%s(x[i * %d + j]);", ldz, ldz, act, ld)
      p.same("gradient of " .. act, "z", ldz, "w", ldz, rows, C)
    end
  end)
  p.case(function()
    p.c("float *x = take(%d, %d, %d), *y = take(%d, %d, %d), *w = room(%d);", rows, round16(C), ld, rows, round16(C),
      ldz, rows * ldz)
    p.each(rows, C, "w[i * %d + j] = x[i * %d + j] * y[i * %d + j];", ldz, ld, ldz)
    p.kernel(p.set:rows("times", { rows = rows, C = C, ldx = ld, ldy = ldz, ldz = ldz }), "x", "y", "y")
    p.same("times", "y", ldz, "w", ldz, rows, C)
  end)
end

function cases.norms(p)
  for _, s in ipairs { { 1, 1 }, { 3, 5 }, { 2, 16 }, { 70, 23 }, { 4, 64 }, { 130, 100 }, { 3, 272 } } do
    local rows, C = table.unpack(s)
    local ldx, ldy, width = stride(C), stride(C) + 32, round16(C)
    p.case(function()
      p.c("float *x = take(%d, %d, %d), *dy = take(%d, %d, %d), *gamma = take(1, %d, 0), *z = room(%d);", rows, C, ldx,
        rows, C, ldy, C, rows * ldy)
      p.c("float *w = room(%d), *acc = room(%d), *sum = room(%d);", rows * ldy, width, width)
      for _, to in ipairs { "z", "dy" } do -- the last one in place
        p.c("for (size_t i = 0; i < %d; ++i) layernorm_dx(dy + i * %d, x + i * %d, gamma, w + i * %d, %d, 1e-6f);",
          rows, ldy, ldx, ldy, C)
        if to == "dy" then
          for first = 0, rows - 1, 64 do
            local block = { rows = math.min(64, rows - first), C = C, ldx = ldx, ldy = ldy, eps = 1e-6 }
            p.kernel(p.set:layernorm_dgamma(block), "dy + " .. first * ldy, "x + " .. first * ldx, "acc", first // 64)
          end
          p.c("columns(dy, %d, x, %d, sum, %d, %d, 1e-6f);", ldy, ldx, rows, C)
          p.same(("dgamma %dx%d"):format(rows, C), "acc", 0, "sum", 0, 1, width)
          for first = 0, rows - 1, 64 do
            p.kernel(p.set:column_sum { rows = math.min(64, rows - first), C = C, ldx = ldy }, "dy + " .. first * ldy,
              "acc", first // 64)
          end
          p.c("columns(dy, %d, NULL, 0, sum, %d, %d, 0.0f);", ldy, rows, C)
          p.same(("column sum %dx%d"):format(rows, C), "acc", 0, "sum", 0, 1, width)
        end
        p.kernel(p.set:layernorm_dx { rows = rows, C = C, ldx = ldx, ldy = ldy, ldz = ldy, eps = 1e-6 }, "dy", "x",
          "gamma", to)
        p.same(("layer norm's gradient %dx%d in %s"):format(rows, C, to), to, ldy, "w", ldy, rows, width)
      end
    end)
  end
end

function cases.transposes(p)
  for _, s in ipairs { { 1, 1 }, { 5, 17 }, { 16, 16 }, { 64, 48 }, { 33, 70 }, { 64, 100 } } do
    local rows, C = table.unpack(s)
    local ldx, ldz = stride(C) + 32, stride(rows)
    p.case(function()
      p.c("float *x = take(%d, %d, %d), *z = room(%d), *w = zeros(%d);", rows, C, ldx, C * ldz, C * ldz)
      p.kernel(p.set:transpose_rows { rows = rows, C = C, ldx = ldx, ldz = ldz }, "x", "z")
      p.each(rows, C, "w[j * %d + i] = x[i * %d + j];", ldz, ldx)
      p.same(("transposed %dx%d"):format(rows, C), "z", ldz, "w", ldz, C, round16(rows))
      p.c("z = room(%d), w = zeros(%d);", round16(rows) * C, round16(rows) * C)
      p.kernel(p.set:rows_to_panels { rows = rows, d = C, ldx = ldx }, "x", "z")
      p.each(rows, C, "w[i / 16 * %d + j * 16 + i %% 16] = x[i * %d + j];", 16 * C, ldx)
      p.same(("rows to panels %dx%d"):format(rows, C), "z", 0, "w", 0, 1, round16(rows) * C)
    end)
    local N, K = rows, C
    p.case(function()
      local panels = round16(K) // 16
      p.c("float *w = zeros(%d), *z = room(%d), *expected = zeros(%d), *x = take(%d, %d, %d);", round16(N) * K,
        round16(K) * N, round16(K) * N, K, N, N)
      p.each(K, N, "w[j / 16 * %d + i * 16 + j %% 16] = expected[i / 16 * %d + j * 16 + i %% 16] = x[i * %d + j];",
        16 * K, 16 * N, N)
      local kernel, half = p.set:transpose_panels { N = N, K = K }, panels // 2
      p.kernel(kernel, "w", "z", half, panels)
      p.kernel(kernel, "w", "z", 0, half)
      p.same(("transposed panels %dx%d"):format(N, K), "z", 0, "expected", 0, 1, round16(K) * N)
    end)
  end
end

function cases.sets(p)
  -- { height, width, d, side_h, side_w }
  for _, s in ipairs { { 3, 5, 16 }, { 1, 7, 20 }, { 2, 3, 8, 4, 5 }, { 4, 5, 33, 4, 5 }, { 3, 2, 64, 5, 3 } } do
    local height, width, d, side_h, side_w = table.unpack(s, 1, 5)
    local ldx, D = stride(3 * d), round16(d)
    local ld_row, lines, across = (width + 2) * ldx, side_h or height, side_w or width
    for _, how in ipairs { "plain", "scaled", "both" } do
      p.case(function()
        local f = { height = height, width = width, d = d, ldx = ldx, ld_row = ld_row, side_h = side_h,
          side_w = side_w, s = how ~= "plain" and 0.3 or nil, both = how == "both" }
        local title = ("set of %dx%d by %d %s"):format(lines, across, d, how)
        p.c("float *x = take(%d, %d, %d), *z = room(%d), *zs = room(%d), *pad = take(1, %d, 0);", height * (width + 2),
          3 * d, ldx, lines * across * D, lines * across * D, d)
        p.c("float *w = zeros(%d), *ws = zeros(%d);", lines * across * D, lines * across * D)
        p.kernel(p.set:set_rows(f), "x + " .. d, side_h and "pad" or false, "z", how == "both" and "zs" or false)
        p.c("for (size_t y = 0; y < %d; ++y) for (size_t c = 0; c < %d; ++c) for (size_t j = 0; j < %d; ++j) {", lines,
          across, d)
        p.c("    const float v = y < %d && c < %d ? x[%d + y * %d + c * %d + j] : pad[j];", height, width, d, ld_row,
          ldx)
        p.c("    w[(y * %d + c) * %d + j] = v, ws[(y * %d + c) * %d + j] = v * 0.3f;", across, D, across, D)
        p.c("}")
        p.same(title, "z", D, how == "scaled" and "ws" or "w", D, lines * across, D)
        if how == "both" then p.same(title .. ", second", "zs", D, "ws", D, lines * across, D) end
        if how ~= "plain" then return end
        p.c("float *back = copy(x, %d);", height * (width + 2) * ldx - ldx + 3 * d)
        p.c("for (size_t y = 0; y < %d; ++y) for (size_t c = 0; c < %d; ++c) for (size_t j = 0; j < %d; ++j)", height,
          width, d)
        p.c("    z[(y * %d + c) * %d + j] = back[y * %d + c * %d + j] = x[y * %d + c * %d + 2 * %d + j];", across, D,
          ld_row, ldx, ld_row, ldx, d)
        p.kernel(p.set:set_rows_back { height = height, width = width, d = d, ldx = ldx, ld_row = ld_row,
          side_w = side_w }, "z", "x")
        p.same(title .. ", back", "x", ldx, "back", ldx, height * (width + 2), 3 * d)
        if not side_h then return end
        p.c("float *acc = take(1, %d, 0), *sum = copy(acc, %d);", D, D)
        p.kernel(p.set:pad_sum { height = height, width = width, side_h = side_h, side_w = side_w, d = d }, "z", "acc")
        p.c("for (size_t j = 0; j < %d; ++j) {", D)
        p.c("    float chain = 0.0f;")
        p.c("    for (size_t y = 0; y < %d; ++y) for (size_t c = 0; c < %d; ++c)", lines, across)
        p.c("        if (y >= %d || c >= %d) chain = chain + z[(y * %d + c) * %d + j];", height, width, across, D)
        p.c("    sum[j] = sum[j] + chain;")
        p.c("}")
        p.same(title .. ", sum of its padding", "acc", 0, "sum", 0, 1, D)
      end)
    end
  end
end

function cases.softmax(p)
  -- { rows, keys, count }
  for _, s in ipairs { { 3, 7 }, { 5, 48 }, { 2, 300 }, { 4, 23, 6 }, { 3, 40, 32 }, { 3, 40, 1 }, { 2, 64, 64 },
    { 2, 50, 49 } } do
    local M, keys, count = table.unpack(s, 1, 3)
    local title = ("softmax %dx%d%s"):format(M, keys, count and " of " .. count or "")
    local lds = stride(keys)
    p.case(function()
      p.c("float *s = take(%d, %d, %d), *w = copy(s, %d);", M, keys, lds, M * lds)
      p.kernel(p.set:softmax_rows { M = M, keys = keys, ld = lds, counted = count ~= nil }, "s", count or false)
      p.c("for (size_t i = 0; i < %d; ++i) softmax(w + i * %d, %d, %d);", M, lds, keys, count or keys)
      p.same(title, "s", lds, "w", lds, M, round16(keys))
    end)
    p.case(function()
      p.c("float *q = take(%d, %d, %d), *dp = take(%d, %d, %d), *w = copy(dp, %d);", M, keys, lds, M, keys, lds,
        M * lds)
      p.kernel(p.set:softmax_dx { M = M, keys = keys, ldp = lds, ldd = lds, counted = count ~= nil }, "q", "dp",
        count or false)
      p.c("for (size_t i = 0; i < %d; ++i) {", M)
      p.c("    const float sum = dot16(q + i * %d, w + i * %d, %d);", lds, lds, count or keys)
      p.c("    for (size_t k = 0; k < %d; ++k)", round16(keys))
      p.c("        w[i * %d + k] = k < %d ? q[i * %d + k] * (w[i * %d + k] - sum) : 0.0f;", lds, count or keys, lds,
        lds)
      p.c("}")
      p.same(title .. ", gradient", "dp", lds, "w", lds, M, round16(keys))
    end)
  end
end

-- Calls case(M queries, lines, columns, ldr, title, s) for windows: { rows, width, first, side_h, side_w, d }.
local function windows(case)
  for _, s in ipairs { { 1, 1, 0, 1, 1, 3 }, { 3, 5, 0, 3, 5, 16 }, { 2, 4, 1, 5, 7, 20 }, { 3, 14, 2, 14, 14, 8 },
    { 2, 20, 3, 17, 20, 64 }, { 1, 9, 1, 4, 33, 80 } } do
    local rows, width, _, lines, columns, d = table.unpack(s)
    case(rows * width, lines, columns, stride(math.max(lines, columns)),
      (" %dx%d of %dx%d by %d"):format(rows, width, lines, columns, d), s)
  end
end

function cases.relative_logits(p)
  windows(function(M, lines, columns, ldr, title)
    local keys = lines * columns
    local lds = stride(round16(keys) + 16)
    p.case(function()
      p.c("float *rh = take(%d, %d, %d), *rw = take(%d, %d, %d), *s = room(%d), *w = room(%d);", M, lines, ldr, M,
        columns, ldr, M * lds, M * lds)
      p.kernel(p.set:relative_fill { M = M, side_h = lines, side_w = columns, ldr = ldr, lds = lds }, "rh", "rw", "s")
      p.each(M, keys, "w[i * %d + j] = rh[i * %d + j / %d] + rw[i * %d + j %% %d];", lds, ldr, columns, ldr, columns)
      p.same("relative positions" .. title, "s", lds, "w", lds, M, keys)
    end)
    p.case(function()
      p.c("float *ds = take(%d, %d, %d), *drh = room(%d), *drw = room(%d);", M, keys, lds, M * ldr, M * ldr)
      p.c("float *wh = zeros(%d), *ww = zeros(%d);", M * ldr, M * ldr)
      p.kernel(p.set:relative_sums { M = M, side_h = lines, side_w = columns, lds = lds, ldr = ldr }, "ds", "drh",
        "drw")
      p.each(M, keys, "wh[i * %d + j / %d] = wh[i * %d + j / %d] + ds[i * %d + j];", ldr, columns, ldr, columns, lds)
      p.each(M, keys, "ww[i * %d + j %% %d] = ww[i * %d + j %% %d] + ds[i * %d + j];", ldr, columns, ldr, columns, lds)
      p.same("sums of lines" .. title, "drh", ldr, "wh", ldr, M, round16(lines))
      p.same("sums of columns" .. title, "drw", ldr, "ww", ldr, M, round16(columns))
    end)
  end)
end

function cases.relative_dq(p)
  windows(function(M, lines, columns, ldr, title, s)
    local rows, width, first, d = s[1], s[2], s[3], s[6]
    local D, ldq = round16(d), stride(d)
    p.case(function()
      p.c("float *drh = take(%d, %d, %d), *drw = take(%d, %d, %d), *z = take(%d, %d, %d), *w = copy(z, %d);", M, lines,
        ldr, M, columns, ldr, M, D, ldq, M * ldq)
      p.c("float *th = take(%d, %d, %d), *tw = take(%d, %d, %d);", 2 * lines - 1, D, D, 2 * columns - 1, D, D)
      p.kernel(p.set:relative_dq { rows = rows, width = width, side_h = lines, side_w = columns, d = d, ldr = ldr,
        ldz = ldq }, "drh", "drw", "th", "tw", "z", first)
      p.c("for (size_t i = 0; i < %d; ++i) for (size_t j = 0; j < %d; ++j) {", M, d)
      p.c("    float sum = w[i * %d + j];", ldq)
      -- The row of a table is query - key + side - 1, and rows lie reversed.
      p.c("    for (size_t y = 0; y < %d; ++y)", lines)
      p.c("        sum = msa_fma(drh[i * %d + y], th[(%d - (%d + i / %d + %d - y)) * %d + j], sum);", ldr,
        2 * lines - 2, first, width, lines - 1, D)
      p.c("    for (size_t x = 0; x < %d; ++x)", columns)
      p.c("        sum = msa_fma(drw[i * %d + x], tw[(%d - (i %% %d + %d - x)) * %d + j], sum);", ldr,
        2 * columns - 2, width, columns - 1, D)
      p.c("    w[i * %d + j] = sum;", ldq)
      p.c("}")
      p.same("relative positions' part of dq" .. title, "z", ldq, "w", ldq, M, d)
    end)
  end)
end

function cases.relative_tables(p)
  windows(function(M, lines, columns, ldr, title, s)
    local rows, width, first, d = s[1], s[2], s[3], s[6]
    local D, ldq = round16(d), stride(d)
    p.case(function()
      local rows_h, rows_w = 2 * lines - 1, 2 * columns - 1
      p.c("float *drh = take(%d, %d, %d), *drw = take(%d, %d, %d), *q = take(%d, %d, %d);", M, lines, ldr, M, columns,
        ldr, M, D, ldq)
      p.c("float *th = take(%d, %d, %d), *tw = take(%d, %d, %d), *wh = copy(th, %d), *ww = copy(tw, %d);", rows_h, D,
        D, rows_w, D, D, rows_h * D, rows_w * D)
      p.kernel(p.set:relative_drel { rows = rows, width = width, side_h = lines, side_w = columns, d = d, ldr = ldr,
        ldq = ldq }, "q", "drh", "drw", "th", "tw", first)
      p.c("for (size_t i = 0; i < %d; ++i) {", M)
      p.c("    for (size_t y = 0; y < %d; ++y) for (size_t j = 0; j < %d; ++j) {", lines, D)
      p.c("        float *const to = wh + (%d + i / %d + %d - y) * %d + j;", first, width, lines - 1, D)
      p.c("        *to = msa_fma(drh[i * %d + y], q[i * %d + j], *to);", ldr, ldq)
      p.c("    }")
      p.c("    for (size_t x = 0; x < %d; ++x) for (size_t j = 0; j < %d; ++j) {", columns, D)
      p.c("        float *const to = ww + (i %% %d + %d - x) * %d + j;", width, columns - 1, D)
      p.c("        *to = msa_fma(drw[i * %d + x], q[i * %d + j], *to);", ldr, ldq)
      p.c("    }")
      p.c("}")
      p.same("gradient by the table of lines" .. title, "th", D, "wh", D, rows_h, D)
      p.same("gradient by the table of columns" .. title, "tw", D, "ww", D, rows_w, D)
    end)
  end)
end

-- ---- attention's gradients, of one head of a set, made of these kernels and products ----

local Attention = {}
Attention.__index = Attention

function Attention:call(kind, fields, ...) self.p.kernel(self.p.set[kind](self.p.set, fields), ...) end

-- Memory by name, of so many floats: "q 32 k 64".
function Attention:rooms(format, ...)
  for name, floats in format:format(...):gmatch "(%w+) (%d+)" do self.p.c("float *%s = zeros(%s);", name, floats) end
end

function Attention:given(name, rows, columns, ld)
  self.at = self.at + rows * columns
  local t = self.R.pattern(self.at, rows, columns)
  self.p.give(name, t, ld)
  return t
end

-- The head's rows of what is given, C columns wide.
function Attention:inputs()
  local M, N, C, d, D, ldx = self.M, self.N, self.C, self.d, self.D, self.ldx
  for _, name in ipairs { "q", "k", "v", "dy" } do self[name] = self:given("x_" .. name, M, C, ldx) end
  for _, name in ipairs { "k_pad", "v_pad" } do self[name] = self:given(name, 1, d, D) end
  self:rooms("q %d qs %d dy %d k %d v %d kp %d vp %d", M * D, M * D, M * D, N * D, N * D, round16(N) * d,
    round16(N) * d)
  local function set(pad, s)
    return { height = self.height, width = self.width, d = d, ldx = ldx, ld_row = self.width * ldx,
      side_h = pad and self.side_h, side_w = pad and self.side_w, s = s, both = s and true }
  end
  self:call("set_rows", set(false, self.scale), "x_q", "q", "qs")
  self:call("set_rows", set(false), "x_dy", "dy")
  for _, name in ipairs { "k", "v" } do
    self:call("set_rows", set(true), "x_" .. name, name .. "_pad", name)
    self:call("rows_to_panels", { rows = N, d = d, ldx = D }, name, name .. "p")
  end
end

-- A table, "h" or "w", with its rows reversed, and its columns, as products with q take them. The queries of a line,
-- or of a column, meet the same rows of it.
function Attention:positions(name, side, lines, queries, apart)
  local p, d, D, ldr, count = self.p, self.d, self.D, self.ldr, 2 * side - 1
  local ld = round16(side - 1 + round16(side))
  self["rel_" .. name] = self:given("rel_" .. name, count, d, D)
  self:rooms("t%s %d c%s %d r%s %d", name, count * D, name, d * ld, name, self.M * ldr)
  p.each(count, d, "t%s[(%d - i) * %d + j] = rel_%s[i * %d + j];", name, count - 1, D, name, D)
  self:call("transpose_rows", { rows = count, C = d, ldx = D, ldz = ld }, "t" .. name, "c" .. name)
  for n = 0, lines - 1 do
    local first = n * (apart == 1 and queries or 1)
    self:call("gemm", { M = queries, N = side, K = d, lda = apart * D, ldb = ld, bps = 16, ldc = apart * ldr },
      ("q + %d"):format(first * D), ("c%s + %d"):format(name, side - 1 - n),
      ("r%s + %d"):format(name, first * ldr))
  end
end

-- p in s, ds in dp.
function Attention:weights()
  local M, N, d, D, lds = self.M, self.N, self.d, self.D, self.lds
  self:rooms("s %d dp %d", M * lds, M * lds)
  self:call("relative_fill", { M = M, side_h = self.side_h, side_w = self.side_w, ldr = self.ldr, lds = lds }, "rh",
    "rw", "s")
  self:call("gemm", { M = M, N = N, K = d, lda = D, ldc = lds, init = "keep" }, "qs", "kp", "s")
  self:call("softmax_rows", { M = M, keys = N, ld = lds }, "s")
  self:call("gemm", { M = M, N = N, K = d, lda = D, ldc = lds }, "dy", "vp", "dp")
  self:call("softmax_dx", { M = M, keys = N, ldp = lds, ldd = lds }, "s", "dp")
end

-- dk and dv, a block of queries after the other.
function Attention:keys()
  local N, d, D, lds = self.N, self.d, self.D, self.lds
  self:rooms("dk %d dv %d turned %d", N * D, N * D, N * 64)
  for first = 0, self.M - 1, 64 do
    local count = math.min(64, self.M - first)
    for _, one in ipairs { { "dp", "qs", "dk" }, { "s", "dy", "dv" } } do
      self:call("transpose_rows", { rows = count, C = N, ldx = lds, ldz = 64 }, ("%s + %d"):format(one[1],
        first * lds), "turned")
      self:call("gemm", { M = N, N = d, K = count, lda = 64, ldb = D, bps = 16, ldc = D, residual = first > 0 },
        "turned", ("%s + %d"):format(one[2], first * D), one[3])
    end
  end
end

-- dq, where the tokens lie, and the gradients by the tables.
function Attention:queries()
  local M, d, D, lds, ldr = self.M, self.d, self.D, self.lds, self.ldr
  local height, width, side_h, side_w = self.height, self.width, self.side_h, self.side_w
  self:rooms("z %d back %d sumh %d sumw %d", M * D, M * self.ldx, (2 * side_h - 1) * D, (2 * side_w - 1) * D)
  self:call("gemm", { M = M, N = d, K = self.N, lda = lds, ldb = D, bps = 16, ldc = D }, "dp", "k", "z")
  self.p.kernel(self.p.set:rows("scale", { rows = M, C = d, ldx = D, s = self.scale }), "z")
  self:call("relative_sums", { M = M, side_h = side_h, side_w = side_w, lds = lds, ldr = ldr }, "dp", "rh", "rw")
  self:call("relative_dq", { rows = height, width = width, side_h = side_h, side_w = side_w, d = d, ldr = ldr,
    ldz = D }, "rh", "rw", "th", "tw", "z", 0)
  self:call("relative_drel", { rows = height, width = width, side_h = side_h, side_w = side_w, d = d, ldr = ldr,
    ldq = D }, "q", "rh", "rw", "sumh", "sumw", 0)
  self:call("set_rows_back", { height = height, width = width, d = d, ldx = self.ldx, ld_row = width * self.ldx }, "z",
    "back")
end

local function attention(p, R, s)
  local height, width, side_h, side_w, d = table.unpack(s)
  local a = setmetatable({ p = p, R = R, at = 0, height = height, width = width, side_h = side_h, side_w = side_w,
    d = d, M = height * width, N = side_h * side_w, C = d + 5, D = round16(d), ldx = stride(d + 5),
    ldr = stride(math.max(side_h, side_w)), lds = stride(round16(side_h * side_w) + 16), scale = 1 / math.sqrt(d) },
    Attention)
  a:inputs()
  a:positions("h", side_h, height, width, 1)
  a:positions("w", side_w, width, height, width)
  a:weights()
  a:keys()
  a:queries()
  return a
end

-- What gen/reference gives for it: dq, dk, dv, drel_h, drel_w.
function Attention:reference()
  local R, height, width, side_h, side_w = self.R, self.height, self.width, self.side_h, self.side_w
  local places, whole = {}, {}
  for place = 1, side_h * side_w do whole[place] = height * width end
  for i = 0, height * width - 1 do
    places[i + 1] = i // width * side_w + i % width
    whole[places[i + 1] + 1] = i
  end
  local function own(name) return self[name]:slice(2, 0, self.d) end
  local function padded(name) return R.rows(R.stacked { own(name), self[name .. "_pad"] }, whole) end
  return R.attention_dqkv(own "q", padded "k", padded "v", { d_o = own "dy", heads = 1,
    count = side_h * side_w, height = side_h, width = side_w, row = side_w, place = places, rel_h = self.rel_h,
    rel_w = self.rel_w, tables = true })
end

-- { height, width, side_h, side_w, d }
local SETS = { { 3, 5, 4, 5, 20 }, { 2, 3, 5, 7, 8 }, { 14, 14, 14, 14, 16 }, { 1, 9, 1, 9, 33 } }

--- Attention's cases in C, which begin and end with numbers of the input. @return text, input
local function attentions(p, R, body)
  local input = {}
  function p.give(name, t, ld)
    input[#input + 1] = t:tobytes()
    p.c("float *%s = given(%d, %d, %d);", name, t.shape[1], t.shape[2], ld)
  end
  for _, s in ipairs(SETS) do
    p.case(function()
      local D, ldx = round16(s[5]), stride(s[5] + 5)
      local results = { attention(p, R, s):reference() }
      for i, one in ipairs { { "back", ldx }, { "dk", D }, { "dv", D }, { "sumh", D }, { "sumw", D } } do
        local t = results[i]
        p.give("expected_" .. one[1], t, t.shape[2])
        p.same(("attention %dx%d of %dx%d by %d: %s"):format(s[1], s[2], s[3], s[4], s[5], one[1]), one[1], one[2],
          "expected_" .. one[1], t.shape[2], t.shape[1], t.shape[2])
      end
    end)
  end
  return table.concat(body, "\n"), table.concat(input)
end

--- All cases in C, for one board's kernels. @return the set, text of those that draw numbers, of those that are given
-- some, these
local function written(board)
  local body = {}
  local p = { set = kernels.new(board.isa, board, folder) }
  function p.c(format, ...) body[#body + 1] = "        " .. format:format(...) end
  -- Call a kernel. @param ... arguments, false for those that it has not
  function p.kernel(word, ...)
    local list = {}
    for _, argument in ipairs { ... } do list[#list + 1] = argument and tostring(argument) or nil end
    p.c("%s;", p.set:call(word, table.unpack(list)))
  end
  function p.each(rows, width, format, ...)
    p.c("for (size_t i = 0; i < %d; ++i) for (size_t j = 0; j < %d; ++j) " .. format, rows, width, ...)
  end
  function p.same(title, got, ldg, expected, lde, rows, width)
    p.c('same("%s", %s, %d, %s, %d, %d, %d);', title, got, ldg, expected, lde, rows, width)
  end
  function p.case(made)
    body[#body + 1] = "    {\n        used = 0;"
    made()
    body[#body + 1] = "    }"
  end
  for _, name in ipairs { "elementwise", "norms", "transposes", "sets", "softmax", "relative_logits",
    "relative_dq", "relative_tables" } do cases[name](p) end
  local drawn, own = table.concat(body, "\n"), {}
  body = own
  local attended, input = attentions(p, require "msagen.reference".of(board.arithmetic), own)
  return p.set, drawn, attended, input
end

--- What the program of a board says, a line a result.
local function said(board)
  local dir = ("%s/%s"):format(work, board.name)
  sys.mkdir_p(dir)
  local set, body, attended, input = written(board)
  local derivatives = {}
  for i, act in ipairs(differentiable) do
    derivatives[i] = activations.entries[act].gradient_steps:scalar("definition_" .. act)
  end
  sys.write_file(dir .. "/msa_simd.h", template.file(folder, "simd.h", { isa = board.isa, made_by = "", flags = "" }))
  sys.write_file(dir .. "/msa_arith.h", require "emit.emit".arith(sys.read_file(msagen.datadir
    .. "/runtime/msa_arith.h"), board.arithmetic))
  sys.write_file(dir .. "/kernels.c", template.render(HARNESS, "harness", { kernels = table.concat(set.texts),
    body = body, attention = attended, derivatives = table.concat(derivatives, "\n"), room = 500000 }))
  tiny.compile(board, { "-std=c11", "-O1", "-ffp-contract=off", "-fno-math-errno", "-w", "-I", dir },
    dir .. "/kernels.c", dir .. "/kernels")
  local call = tiny.command(board, dir .. "/kernels")
  sys.write_file(dir .. "/in", input)
  call.stdin, call.stdout, call.stderr = dir .. "/in", dir .. "/out", "capture"
  equal((sys.spawn(call)), 0, "exit status")
  local lines = {}
  for line in sys.read_file(dir .. "/out"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local here = tiny.boards()
if spec.compiles() then
  local emulated = tiny.emulated()
  if not tier.full then
    here = { here[#here], tier.chosen({ table.unpack(here, 1, #here - 1) }, "training kernels") }
    emulated = #emulated > 0 and { tier.chosen(emulated, "training kernels") } or emulated
  end
  table.move(emulated, 1, #emulated, #here + 1, here)
else
  here = { here[#here] }
end

describe("compiled kernels of the backward pass are their definitions, bit for bit:", function()
  local first = {} -- of a class of arithmetic
  for _, board in ipairs(here) do
    it(board.name, function()
      local lines, subnormal = said(board), 0 -- results with some
      assert(#lines > 200, #lines)
      local known = first[board.arithmetic] or lines
      first[board.arithmetic] = known
      for i, line in ipairs(lines) do
        assert(line:find ": as it should be: ", line)
        equal(line, known[i])
        if math.tointeger(line:match "(%d+) subnormal") > 0 then subnormal = subnormal + 1 end
      end
      assert(subnormal > 40, subnormal .. " results with subnormals")
    end)
  end
end)
