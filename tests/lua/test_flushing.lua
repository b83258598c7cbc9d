-- SPDX-License-Identifier: Apache-2.0
-- Boards whose vectors flush subnormals: kernels and a whole model whose operands, products and sums do underflow give
-- what plain C gives, bit for bit;
-- and they would not, were it not asked whether anything was flushed.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end
local boards, flushing, kernels, template, tiny = require "target.boards", require "kernels.flushing",
  require "kernels.kernels", require "support.template", require "tiny_model"
local tier = require "tier"
local folder = msagen.datadir .. "/templates"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-flushing-")
sys.cleanup(work)

local here, other = {}, {}
local compiles = spec.compiles()
for _, board in ipairs(compiles and tiny.emulated() or {}) do
  if board.isa.flushes then here[#here + 1] = board end
  other[board.isa.name] = true
end
for _, board in ipairs(boards.all()) do
  if compiles and board.hosted and board.isa.flushes and not other[board.isa.name] then
    io.stdout:write(("skipped %s: there is no %s or no %s\n"):format(board.name, board.compiler, board.emulator[1]))
  end
end

describe("texts of kernels for vectors that flush", function()
  local made = {}
  local set = { isa = { width = 4 }, make = function(_, file, base) made[#made + 1] = file return base end }
  local function checked(line) return flushing.checked(set, "rows_test", "void f(float *x)\n{\n" .. line .. "\n}\n") end

  it("store 16 floats at a time when all of them are held, or compute them again; what is left likewise", function()
    local text = checked "    for (size_t j = 0; j < 24; j += 4) msa_store(x + j, msa_vadd(msa_load(x + j), by));"
    spec.holds(text, "for (size_t j = 0; j < 16; j += 16) {")
    spec.holds(text, "for (size_t j = 16; j < 24; j += 8) {")
    spec.holds(text, "const msa_vec held3 = msa_hold(msa_vadd(msa_load(x + (j + 12)), by));")
    spec.holds(text, "for (size_t again = 0; again < 8; again += 4) {")
    spec.holds(text, "msa_store(x + (j + again), msa_exact_vadd(msa_load(x + (j + again)), by));")
    local held, asked, stored = text:find "msa_hold", text:find "msa_flushed", text:find "msa_store%(x %+ j, held0%)"
    assert(held < asked and asked < stored)
  end)

  it("are as they were where nothing is computed, or scalars divide", function()
    for _, line in ipairs { "    for (size_t j = 0; j < 24; j += 4) {\n        msa_store(x + j, by);\n    }",
      "    for (size_t j = 0; j < 24; j += 4) {\n        msa_store(x + j, msa_vdiv(msa_load(x + j), by));\n    }",
      "    x[0] = x[1] + x[2];" } do
      equal(checked(line), "void f(float *x)\n{\n" .. line .. "\n}\n")
    end
  end)

  it("call one function for an activation", function()
    for _, act in ipairs(require "graph.activations".computed) do
      equal(checked(("    for (size_t j = 0; j < 32; j += 4) msa_store(x + j, msa_v%s(msa_load(x + j)));"):format(act)),
        ("void f(float *x)\n{\n    for (size_t j = 0; j < 32; j += 16) {\n        msa_%s_x16(x + j);\n    }\n}\n")
          :format(act))
      equal(table.remove(made), "exact_act")
    end
    equal(made, {})
  end)

  it("are refused where vectors compute in another form, or what cannot be computed again", function()
    for _, line in ipairs { "    msa_store(x, msa_vadd(a, b));", "    a = msa_vfma(a, b, c);",
      "    for (size_t j = 0; j < n; j += 4) msa_store(x + j, msa_vmul(a, b));",
      "    for (size_t j = 0; j < 8; j += 4) msa_store(x + j, msa_vmax(a, b));" } do
      local ok, problem = pcall(checked, line)
      assert(not ok, line)
      assert(problem:find("kernels/rows_test.c: vectors that flush", 1, true)
        or problem:find("msa_vmax cannot be computed again", 1, true), problem)
    end
  end)
end)

-- ---- kernels ----

local HARNESS = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "simd.h"
@ if sites > 0 then
/* The question, at one of its places in the kernels: counted, and answered with no where the command line says so. */
static unsigned again;
static unsigned char deaf[$(sites + 1)];
static inline bool asked(unsigned site)
{
    const bool yes = msa_flushed();
    again += yes;
    return yes && !deaf[site];
}
@ end
$(kernels)
static uint32_t state = 1;
static uint32_t draw(uint32_t n)
{
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return (state >> 5) % n;
}
static float memory[500000] __attribute__((aligned(64))); /* of one case: boards are small */
static size_t used;
static float *room(size_t n)
{
    float *p = memory + used;
    used += (n + 16 + 15) / 16 * 16;
    if (used > sizeof memory / sizeof *memory) exit(2);
    for (size_t i = 0; i < n + 16; ++i) p[i] = 0.0f;
    return p;
}
static float number(uint32_t exponent)
{
    const uint32_t kind = draw(24);
    if (kind == 0) return 0.0f;
    if (kind == 1) return -0.0f;
    if (kind == 2) return msa_from_bits(draw(2) << 31 | draw(1u << 23));
    return msa_from_bits(draw(2) << 31 | (127u - exponent + draw(3)) << 23 | draw(1u << 23));
}
/* Rows of numbers about 2^-scale: 2^-64 and 2^-66 make products that are subnormal, and so on; every other number may
 * be the one before it, negative and nearly as large, so that sums cancel. */
static void fill(float *p, size_t rows, size_t width, size_t ld)
{
    static const uint32_t scales[] = { 64, 126, 66, 1, 100, 30, 118, 60 };
    for (size_t i = 0; i < rows; ++i) {
        const uint32_t scale = scales[draw(8)];
        for (size_t j = 0; j < width; ++j) {
            float *const to = p + i * ld + j;
            *to = number(scale);
            if (j % 2 == 1 && draw(2) != 0 && to[-1] != 0.0f) {
                *to = msa_from_bits((msa_bits(to[-1]) ^ 0x80000000u) + draw(2));
            }
        }
    }
}
static float *take(size_t rows, size_t width, size_t ld)
{
    float *p = room(rows * ld + width);
    fill(p, rows, width, ld);
    return p;
}
/* [K,N] in panels of 16, zeros in the last one; columns are of one scale, and neighbours in them often the same. */
static float *panels(size_t K, size_t N)
{
    float *p = room((N + 15) / 16 * 16 * K), *column = room(K);
    for (size_t n = 0; n < N; ++n) {
        fill(column, 1, K, K);
        for (size_t k = 0; k < K; ++k) {
            float *const to = p + n / 16 * 16 * K + k * 16 + n % 16;
            *to = k % 2 == 1 && draw(2) != 0 ? to[-16] : column[k];
        }
    }
    return p;
}
static float *all(float x, size_t n)
{
    float *p = room(n);
    for (size_t i = 0; i < n; ++i) p[i] = x;
    return p;
}
static void give(const char *title, const float *p, size_t rows, size_t width, size_t ld)
{
    uint32_t sum = 0, subnormal = 0;
    for (size_t i = 0; i < rows; ++i) for (size_t j = 0; j < width; ++j) {
        const uint32_t u = msa_bits(p[i * ld + j]);
        sum = (sum ^ u) * 0x9e3779b1u, sum ^= sum >> 15;
        subnormal += (u & 0x7f800000u) == 0u && (u & 0x7fffffffu) != 0u;
    }
    printf("%s: %08x, %u subnormal\n", title, (unsigned)sum, (unsigned)subnormal);
}
int main(int argc, char **argv)
{
    (void)argc, (void)argv;
@ if sites > 0 then
    for (int i = 1; i < argc; ++i) deaf[atoi(argv[i])] = 1;
@ end
$(body)
@ if sites > 0 then
    fprintf(stderr, "%u", again);
@ end
    return 0;
}
]]

-- The cases: each is made for one board's set of kernels; whatever is drawn is drawn alike on all.
local cases = {}

function cases.products(set, c, kernel, case)
  for _, s in ipairs { { 1, 17, 48 }, { 13, 33, 50 }, { 5, 20, 301 }, { 6, 16, 1 } } do
    local M, N, K = table.unpack(s)
    for _, kind in ipairs { { "zero", "none" }, { "zero", "gelu" }, { "bias", "none" }, { "bias", "gelu" },
      { "bias", "relu" }, { "keep", "none" }, { "keep", "relu" }, { "zero", "none", true },
      { "bias", "none", true } } do
      local init, act, residual = kind[1], kind[2], kind[3] or false
      for _, blocks in ipairs(K > 200 and not residual and { 1, 3 } or { 1 }) do
        case(function()
          local f = { M = M, N = N, K = K, lda = kernels.stride(K), ldc = kernels.stride(N), init = init, act = act,
            residual = residual }
          local tiling
          for _, one in ipairs(require "kernels.tiles".candidates(set.isa, set.board,
            { M = M, panels = (N + 15) // 16, K = K, init = init, act = act, residual = residual })) do
            tiling = tiling or (#one.blocks == blocks and one)
          end
          f.tiling = assert(tiling)
          c("float *a = take(%d, %d, %d), *b = panels(%d, %d), *bias = take(1, %d, 0), *c = take(%d, %d, %d);", M, K,
            f.lda, K, N, kernels.round16(N), M, N, f.ldc)
          kernel(set:gemm(f), "a", "b", init == "bias" and "bias" or false, "c")
          c('give("gemm %dx%dx%d %s %s%s %d", c, %d, %d, %d);', M, N, K, init, act, residual and " residual" or "",
            blocks, M, N, f.ldc)
        end)
      end
    end
  end
end

function cases.tipped_ties(set, c, kernel, case)
  -- (1 + 2^-12)^2 lies half-way between two floats: a start far below the last place of the sum decides.
  for _, start in ipairs { "0x1p-140f", "-0x1p-149f", "0x1.8p-127f" } do
    case(function()
      c("float *a = all(0x1.001p0f, 16), *b = all(0x1.001p0f, 16), *c = all(%s, 16);", start)
      kernel(set:gemm { M = 1, N = 16, K = 1, lda = 16, ldc = 16, init = "keep" }, "a", "b", "c")
      c('give("tie tipped by %s", c, 1, 16, 16);', start)
    end)
  end
end

function cases.norms(set, c, kernel, case)
  for _, s in ipairs { { 9, 16 }, { 12, 23 }, { 8, 64 }, { 11, 100 } } do
    for _, place in ipairs { "beside", "in place" } do
      case(function()
        local rows, C = s[1], s[2]
        local ld = kernels.stride(C)
        c("float *x = take(%d, %d, %d), *w = take(2, %d, %d), *y = %s;", rows, C, ld, C, kernels.round16(C),
          place == "in place" and "x" or ("room(%d)"):format(rows * ld))
        kernel(set:layernorm { rows = rows, C = C, ldx = ld, ldy = ld, eps = 1e-6 }, "x", "w", "y")
        c('give("layer norm %dx%d %s", y, %d, %d, %d);', rows, C, place, rows, C, ld)
        if place == "beside" then
          local fields = { rows = rows, C = C, ldx = ld, ldy = ld, eps = 1e-6, moments = "kept" }
          c("float *moments = room(%d);", 2 * rows)
          kernel(set:layernorm(fields), "x", "moments")
          fields.moments = "given"
          kernel(set:layernorm(fields), "x", "w", "moments", "y")
          c('give("layer norm by moments %dx%d", y, %d, %d, %d);', rows, C, rows, C, ld)
        end
      end)
    end
  end
end

function cases.rows(set, c, kernel, case)
  for _, kind in ipairs { "add", "sum", "add2", "add3", "addscaled", "scale", "gelu", "relu" } do
    case(function()
      local rows, C = 17, 37
      local ld = kernels.stride(C)
      local two = kind ~= "scale" and not require "graph.activations".entries[kind]
      local three, four = two and kind ~= "add", kind == "add3"
      c("float *x = take(%d, %d, %d), *y = take(%d, %d, %d), *v = take(%d, %d, %d), *z = take(%d, %d, %d);", rows, C,
        ld, rows, C, ld, rows, C, ld, rows, C, ld)
      c("(void)y, (void)z, (void)v;")
      kernel(set:rows(kind, { rows = rows, C = C, ldx = ld, ldy = two and ld or nil, ldz = three and ld
        or nil, ldv = four and ld or nil, s = (kind == "scale" or kind == "addscaled") and 0.7 or nil }),
        "x", two and "y", four and "v" or false, three and "z")
      c('give("rows %s", %s, %d, %d, %d);', kind, three and "z" or two and "y" or "x", rows, C, ld)
    end)
  end
end

function cases.softmax(set, c, kernel, case)
  for _, s in ipairs { { 9, 7 }, { 8, 48 }, { 12, 300, 170 } } do
    case(function()
      local rows, cols, count = table.unpack(s, 1, 3)
      local ld = kernels.stride(cols)
      c("float *s = take(%d, %d, %d), *m = take(1, %d, 0), *l = all(0x1.8p-3f, %d), *alpha = room(%d);", rows, cols, ld,
        rows, rows, rows)
      -- Some rows of nothing but subnormals and zeros, some with one number that is not.
      c("for (size_t i = 0; i < %d; ++i) for (size_t j = 0; i %% 3 != 0 && j < %d; ++j)", rows, cols)
      c("    s[i * %d + j] = msa_from_bits(draw(2) << 31 | draw(1u << 23));", ld)
      c("for (size_t i = 0; i < %d; ++i)", rows)
      c("    if (i %% 3 == 2) s[i * %d + draw(%d)] = number(i %% 2 != 0 ? 3 : 122);", ld, cols)
      c("    else m[i] = msa_from_bits(draw(2) << 31 | draw(1u << 23));")
      kernel(set:softmax { rows = rows, cols = cols, ld = ld, counted = count ~= nil }, "s", "m", "l", "alpha",
        count and tostring(count) or false)
      c('give("softmax %dx%d", s, %d, %d, %d);', rows, cols, rows, cols, ld)
      for _, one in ipairs { "l", "alpha" } do
        c('give("softmax %dx%d %s", %s, 1, %d, 0);', rows, cols, one, one, rows)
      end
    end)
  end
end

function cases.attention(set, c, kernel, case)
  -- { queries, keys, width, row, count, relative positions, side of the window that is padded }
  for _, s in ipairs { { 7, 23, 16, nil, 6 }, { 6, 300, 12 }, { 8, 25, 20, 5, nil, true },
    { 9, 289, 16, 17, nil, true }, { 6, 12, 20, 4, nil, true, 5 }, { 6, 12, 20, 4, nil, false, 5 } } do
    case(function()
      local M, N, d, row, count, rel, side = table.unpack(s, 1, 7)
      local ldq, ldo, ldr = kernels.stride(d), kernels.stride(d) + 16, row and kernels.stride(side or row)
      local packed = set:keys { keys = N, row = row, d = d }
      local attend, sizes = set:attend { M = M, keys = N, row = row, d = d, ldq = ldq, ldo = ldo,
        counted = count ~= nil, rel = rel and { n = row, ld = ldr },
        pad = side and { side = side, height = N // row, width = row } }
      c("float *q = take(%d, %d, %d), *k = take(%d, %d, %d), *v = take(%d, %d, %d);", M, d, ldq, N, d, ldq, N, d, ldq)
      c("float *kp = room(%d), *vp = room(%d), *s = room(%d), *o = room(%d), *stat = room(%d), *out = room(%d);",
        packed.k, packed.v, sizes.s, sizes.o, sizes.stat, M * ldo)
      if rel then
        c("float *rh = take(%d, %d, %d), *rw = take(%d, %d, %d);", M, side or row, ldr, M, side or row, ldr)
      end
      if side or not row then
        c("for (size_t i = 0; i < %d; ++i) for (size_t j = 0; j < %d; ++j) v[i * %d + j] = %s;", N, d, ldq, side
          and "number(126)" or "msa_from_bits(draw(2) << 31 | draw(1u << 15))")
      end
      if side then
        c("float *k_pad = take(1, %d, 0), *v_pad = take(1, %d, 0);", kernels.round16(d), kernels.round16(d))
      end
      if side then c("for (size_t j = 0; j < %d; ++j) v_pad[j] = number(126);", d) end
      kernel(packed.place { count = N, k_stride = ldq }, "0", "k", "v", "kp", "vp")
      kernel(set:rows("scale", { rows = M, C = d, ldx = ldq, s = 1 / math.sqrt(d) }), "q")
      kernel(attend, "q", "kp", "vp", rel and "rh" or false, rel and "rw" or false, side and "k_pad" or false,
        side and "v_pad" or false, "s", "o", "stat", "out", count and tostring(count) or false)
      c('give("attention %dx%dx%d%s%s", out, %d, %d, %d);', M, N, d, rel and " rel" or "", side and " pad" or "", M, d,
        ldo)
    end)
  end
end

function cases.attention_ties(set, c, kernel, case)
  -- Relative positions that cancel into a subnormal start of q k, a tie: two keys above the others, or all alike.
  case(function()
    local packed = set:keys { keys = 4, row = 2, d = 1 }
    local attend, sizes = set:attend { M = 1, keys = 4, row = 2, d = 1, ldq = 16, ldo = 16, rel = { n = 2, ld = 16 } }
    c("float *q = all(0x1.001p0f, 16), *k = all(0x1.001p0f, 64), *v = take(4, 16, 16);")
    c("float *rh = all(-0x1p-126f, 16), *rw = all(0x1p-126f, 16);")
    c("rw[1] = 0x1.8p-126f, v[0] = v[32] = 0.0f, v[16] = v[48] = 1.0f;")
    c("float *kp = room(%d), *vp = room(%d), *s = room(%d), *o = room(%d), *stat = room(%d), *out = room(16);",
      packed.k, packed.v, sizes.s, sizes.o, sizes.stat)
    kernel(packed.place { count = 4, k_stride = 16 }, "0", "k", "v", "kp", "vp")
    kernel(attend, "q", "kp", "vp", "rh", "rw", "s", "o", "stat", "out")
    c('give("attention, tie tipped", out, 1, 1, 16);')
  end)
end

-- All of them in C.
local function written(set)
  local body = {}
  local function c(format, ...) body[#body + 1] = "        " .. format:format(...) end
  -- Call a kernel. @param ... arguments, false for those that it has not
  local function kernel(name, ...)
    local list = {}
    for _, argument in ipairs { ... } do list[#list + 1] = argument or nil end
    c("%s;", set:call(name, table.unpack(list)))
  end
  local function case(made)
    body[#body + 1] = "    {\n        used = 0;"
    made()
    body[#body + 1] = "    }"
  end
  for _, name in ipairs { "products", "tipped_ties", "norms", "rows", "softmax", "attention", "attention_ties" } do
    cases[name](set, c, kernel, case)
  end
  return table.concat(body, "\n")
end

--- The cases' program for a board. @return run, sites: run(list of sites that are not to ask) gives lines, and how
-- often something was computed again;
-- sites is what asks, without its numbers -> list of sites
local function compiled(board)
  local dir = sys.mkdtemp(work, "kernels-")
  local set = kernels.new(board.isa, board, folder)
  local body, sites, count, texts = written(set), {}, 0, {}
  for i, text in ipairs(set.texts) do
    local name, held = text:match "void msa_(%l+)", nil
    texts[i] = text:gsub("[^\n]*\n", function(line)
      held = line:match "held0 = msa_hold%((.*)%);" or held
      return (line:gsub("msa_flushed%(%)", function()
        local what = (name .. (held and ": " .. held or "")):gsub("%d+", "N")
        count = count + 1
        sites[what] = sites[what] or {}
        table.insert(sites[what], tostring(count))
        return ("asked(%d)"):format(count)
      end))
    end)
  end
  sys.write_file(dir .. "/simd.h", template.file(folder, "simd.h", { isa = board.isa, made_by = "", flags = "" }))
  sys.write_file(dir .. "/kernels.c", template.render(HARNESS, "harness",
    { kernels = table.concat(texts), body = body, sites = count }))
  tiny.compile(board, { "-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", "-w", "-I",
    msagen.datadir .. "/runtime" }, dir .. "/kernels.c", dir .. "/kernels")
  return function(deaf)
    local call = tiny.command(board, dir .. "/kernels", deaf)
    call.stdin, call.stdout, call.stderr = "/dev/null", dir .. "/out", "capture"
    local status, again = sys.spawn(call)
    equal(status, 0)
    local lines = {}
    for line in sys.read_file(dir .. "/out"):gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines, math.tointeger(tonumber(again))
  end, sites
end

describe("kernels whose operands and sums are subnormal compute what plain C computes:", function()
  local expected
  -- One instruction set stands for all below the full tier.
  for _, board in ipairs((tier.full or #here < 2) and here or { tier.chosen(here, "subnormal") }) do
    it(board.name, function()
      expected = expected or compiled(boards.named "generic-c99") {}
      local run, sites = compiled(board)
      local got, again = run {}
      equal(#got, #expected)
      local many = 0
      for i, line in ipairs(expected) do
        equal(got[i], line)
        if math.tointeger(line:match "(%d+) subnormal") > 0 then many = many + 1 end
      end
      assert(many > 40, many .. " results with subnormals")
      assert(again > 500, again .. " times computed again")
      -- And each question is needed: where it is not asked, something else comes out. But the logits of padding go to
      -- softmax alone.
      local kinds, truth = 0, table.concat(expected, "\n")
      for what, list in pairs(sites) do
        kinds = kinds + 1
        local wrong = table.concat(run(list), "\n") ~= truth
        assert(wrong or what:match "^attend: .*, same%)$", "no case needs the question of " .. what)
      end
      assert(kinds >= 14, kinds)
    end)
  end
end)

-- ---- plain loops ----

describe("a build whose plain loops became vectors that flush is not opened:", function()
  for _, board in ipairs(here) do
    it(board.name, function()
      local dir = sys.mkdtemp(work, "loops-")
      sys.write_file(dir .. "/main.c",
        '#include "msa_check.c"\n#include "msa_crc32c.c"\n#include <stdio.h>\n'
        .. 'int main(void) { printf("%d\\n", (int)msa_check_environment()); return 0; }\n')
      local careless = setmetatable({ flags = {} }, { __index = board })
      for _, flag in ipairs(board.flags) do
        if not flag:find "vectorize" then careless.flags[#careless.flags + 1] = flag end
      end
      assert(#careless.flags < #board.flags)
      local function status(how)
        tiny.compile(how, { "-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-I",
          msagen.datadir .. "/runtime" }, dir .. "/main.c", dir .. "/main")
        return tiny.must(tiny.command(board, dir .. "/main"))
      end
      equal(status(board), "0\n")
      -- For ARMv7 gcc makes no such vectors while subnormals are to be kept.
      equal(status(careless), board.isa.name == "neon32" and "0\n" or "3\n") -- MSA_E_ENVIRONMENT
    end)
  end
end)

-- ---- a model ----

--- The bytes of a safetensors file with every float of the tensors that rules name multiplied by a power of two:
-- {pattern, exponent}, the first that matches.
local function scaled(bytes, rules)
  local length = string.unpack("<I8", bytes)
  local header, data = require "msagen.json".decode(bytes:sub(9, 8 + length), "header"), bytes:sub(9 + length)
  local pieces, order = {}, {}
  for name, t in pairs(header) do
    if name ~= "__metadata__" then
      order[#order + 1] = { name = name, first = t.data_offsets[1], last = t.data_offsets[2] }
    end
  end
  table.sort(order, function(a, b) return a.first < b.first end)
  for i, t in ipairs(order) do
    local text, exponent = data:sub(t.first + 1, t.last), 0
    for _, rule in ipairs(rules) do
      if t.name:find(rule[1]) then
        exponent = rule[2]
        break
      end
    end
    pieces[i] = exponent == 0 and text or text:gsub("....", function(four)
      return string.pack("<f", string.unpack("<f", four) * 2.0 ^ exponent)
    end)
  end
  return bytes:sub(1, 8 + length) .. table.concat(pieces)
end

-- Weights of 2^-60 and more stay what they are. What attention's result is projected to, and the neck's 3x3
-- convolution, are subnormal; the space adapter's weights
-- and the last norm bring them back to where a digest sees them.
local UNDERFLOWING = {
  { "norm1%.weight$", -57 }, { "norm1%.bias$", -300 }, { "attn%.qkv%.weight$", -55 }, { "attn%.qkv%.bias$", -300 },
    { "attn%.proj%.weight$", -22 }, { "attn%.proj%.bias$", -300 },
  { "Space_Adapter%.D_fc1%.weight$", 100 }, { "Space_Adapter%.D_fc1%.bias$", -300 },
    { "Space_Adapter%.D_fc2%.weight$", 34 },
  { "neck%.0%.weight$", -55 }, { "neck%.1%.weight$", -57 }, { "neck%.1%.bias$", -300 }, { "neck%.2%.weight$", -22 },
    { "neck%.3%.bias$", -300 },
}

--- All but the kernels has no vector arithmetic on floats, at a level at which compilers like to make some.
local function must_be_scalar(board, fw)
  local found, again = 0, { "make", "-B", "-C", fw, "CFLAGS=-O3" }
  for _, name in ipairs(sys.list(fw)) do
    if name:match "%.o$" and name ~= "msa_kernels.o" then again[#again + 1] = name end
  end
  tiny.must(again)
  for _, name in ipairs(sys.list(fw)) do
    if name:match "%.o$" then
      for line in tiny.must { board.compiler:match "^(.*)gcc$" .. "objdump", "-d",
        fw .. "/" .. name }:gmatch "[^\n]+" do
        if line:find "%sv%l+%.f32%s+[qd]%d+" and not line:find "%svmov" then
          found = found + 1
          assert(name == "msa_kernels.o", name .. ": " .. line)
        end
      end
    end
  end
  assert(found > 100, found)
end

describe("a model whose weights and activations underflow has generic-c99's digest, and has it no more where nobody "
  .. "asks:", function()
  local device, expected = tiny.device(work, "adapted"), nil
  sys.write_file(device.checkpoint, scaled(sys.read_file(device.checkpoint), UNDERFLOWING))
  -- The kernels are compared above: a model of them is the full tier's.
  for _, board in ipairs(tier.full and here or {}) do
    it(board.name, function()
      local function digest(fw)
        local output = tiny.must { tiny.program(), "run", fw, "--image", msagen.datadir .. "/demo/fetal-head/image.png",
          "--point", "200,210", "--digest", "--modified" }
        return assert(output:match "digest (%x+)", output)
      end
      local function build(name, dir)
        device.board = name
        tiny.build(device, dir)
        return dir
      end
      if not expected then
        tiny.must { "make", "-j2", "-C", build("generic-c99", work .. "/plain"), "CFLAGS=-O1" }
        expected = digest(work .. "/plain")
      end
      local fw = build(board.name, work .. "/" .. board.name)
      local path = fw .. "/msa_simd.h"
      local text = sys.read_file(path)
      local kernels, checks = sys.read_file(fw .. "/msa_kernels.c"):gsub("return (tells%(FLT_MIN[^\n;]+);",
        "at_check = 1;\n    const bool told = %1;\n    at_check = 0;\n    return told;")
      equal(checks, 1)
      sys.write_file(fw .. "/msa_kernels.c", kernels)
      --- The digest where the answer to the question is another, and how often it was yes (what a file counts up to
      -- some hundreds).
      local function asking(answer, level)
        local changed, count = text:gsub("static inline bool msa_flushed", ([[
#include <stdio.h>
static unsigned again, at_check;
static int tell(void)
{
    FILE *f = again < 200 ? fopen("%s/again", "a") : NULL;
    if (f != NULL) fputs("once\n", f), fclose(f);
    return ++again > 0;
}
%%0]]):format(fw)):gsub("    return (%(flags & [^\n;]+);",
          "    const bool yes = %1 && tell();\n    return " .. answer .. ";")
        equal(count, 1)
        sys.write_file(path, changed)
        os.remove(fw .. "/again")
        -- nothing else has changed
        if os.remove(fw .. "/msa_kernels.o") then tiny.must { "make", "-t", "-o", "msa_kernels.o", "-C", fw } end
        tiny.must { "make", "-j2", "-C", fw, "CFLAGS=" .. level }
        local found = digest(fw)
        return found, select(2, sys.read_file(fw .. "/again"):gsub("once", ""))
      end
      local found, times = asking("yes", "-O2")
      equal(found, expected)
      assert(times > 100, times .. " times computed again")
      must_be_scalar(board, fw)
      found = asking("yes && at_check", "-O1") -- where the float unit is checked, not in the layers
      assert(found ~= expected, "the same digest without a check")
      -- Where one of the two flags never says so, a model cannot be opened.
      for _, flag in ipairs(tier.full and { "0x80u", "0x08u" } or { "0x80u" }) do
        local ok, problem = pcall(asking, ("yes && (flags & %s) != 0u"):format(flag), "-O1")
        assert(not ok, "opened with no flag but " .. flag)
        spec.holds(problem, "flushes subnormals")
      end
    end)
  end
end)
