-- SPDX-License-Identifier: Apache-2.0
-- Kernels: asked for by shape and written once; and, compiled for every board that this CPU runs, bit for bit what the
-- plain loops of gen/reference/reference.c give, at shapes that divide nothing. What lies beside the data is NaN, so
-- that reading it would show.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local activations, kernels = require "graph.activations", require "kernels.kernels"
local tier = require "tier"

describe("strides", function()
  it("hold a row, and are one cache line or an odd number of them", function()
    for n = 1, 5000 do
      local s = kernels.stride(n)
      assert(s >= n and s % 16 == 0 and s < n + 32, n)
      assert((s // 16) % 2 == 1, n)
    end
  end)
end)

describe("the key tile", function()
  -- DESIGN.md section 3: part of the definition. These numbers are both classes'; another number is another arithmetic.
  it("is whole rows of the grid, about 256 keys", function()
    for _, case in ipairs { { 196, 14, 196 }, { 4096, 64, 256 }, { 1024, 32, 256 }, { 256, 16, 256 }, { 23, 1, 23 },
      { 4096, 1, 256 }, { 289, 17, 255 }, { 90000, 300, 300 }, { 25, 5, 25 } } do
      equal(kernels.key_tile(case[1], case[2]), case[3], ("%d keys in rows of %d"):format(case[1], case[2]))
    end
    equal(kernels.key_tile(4096), 256)
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end
local tiny, reference, tensor = require "tiny_model", require "msagen.reference", require "msagen.tensor"
local template, boards, tiles = require "support.template", require "target.boards", require "kernels.tiles"
local folder = msagen.datadir .. "/templates"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-kernels-")
sys.cleanup(work)

local function new(board) return kernels.new(board.isa, board, folder) end
local plain = boards.named "generic-c99"

describe("kinds of windows", function()
  it("have names of their own where relative positions were pruned: they differ in their padding alone", function()
    local set = new(boards.named "generic-c99")
    local function attend(height, width)
      return (set:attend { M = 14, keys = 14, d = 32, ldq = 32, ldo = 48, row = width,
        pad = { side = 7, height = height, width = width } })
    end
    local one, other = attend(7, 2), attend(2, 7)
    assert(one ~= other, one)
    equal({ attend(7, 2), attend(2, 7) }, { one, other })
  end)
end)

describe("kernels", function()
  local function shape(changes)
    local f = { M = 7, N = 20, K = 33, lda = 48, ldc = 48 }
    for k, v in pairs(changes or {}) do f[k] = v end
    return f
  end

  it("end rows by predication, not by a loop, where vectors have it", function()
    local function texts(name)
      local set = new(boards.named(name))
      set:layernorm { rows = 9, C = 23, ldx = 48, ldy = 48, eps = 1e-6 }
      set:attend { M = 7, keys = 23, d = 22, ldq = 48, ldo = 48 }
      -- what was flushed is computed again, float by float
      return table.concat(set.texts, "\n"):gsub("if %(msa_flushed%(%)%) (%b{})", ""):gsub("{%s+", "{ ")
    end
    local predicated, other = texts "cortex-m55", texts "cortex-a53"
    for _, line in ipairs { "msa_load_some(xi + 20, 3)", "msa_some(mean_v, 3)", "msa_store_some(yi + 20, held1, 3)",
      "msa_store_some(to + 20, " } do
      holds(predicated, line)
    end
    for _, loop in ipairs { "k < 7; ++k", "k = 16; k < 23; ++k) { yi[k]", "j < 22; ++j) { to[j]" } do
      holds(other, loop)
      assert(not predicated:find(loop, 1, true), loop)
    end
  end)

  it("are made once for a shape, and again for another", function()
    local set, seen = new(plain), {}
    local first = set:gemm(shape())
    local texts = #set.texts
    equal(set:gemm(shape()), first)
    equal(#set.texts, texts)
    seen[first] = true
    for _, changes in ipairs { { M = 8 }, { K = 34 }, { lda = 80 }, { ldc = 80 }, { init = "bias" },
      { init = "keep" }, { init = "keep_bias" }, { residual = true }, { act = "gelu" }, { act = "relu" },
      { bps = 4000 }, { ldb = 48 } } do
      local name = set:gemm(shape(changes))
      assert(not seen[name], name .. " twice")
      seen[name] = true
      equal(set:gemm(shape(changes)), name)
    end
  end)

  it("that differ in numbers alone are one function", function()
    local set, functions = new(plain), {}
    local function made(name) functions[set:call(name):match "^(.-)%("] = true end
    for rows = 1, 3 do
      for _, ld in ipairs { 48, 80 } do
        for _, kind in ipairs { "add", "sum", "scale", "gelu" } do
          local asked = { rows = rows, C = 20 + rows, ldx = ld, s = kind == "scale" and 1 / rows or nil }
          if kind == "add" or kind == "sum" then asked.ldy = ld end
          if kind == "sum" then asked.ldz = 96 end
          made(set:rows(kind, asked))
        end
        made(set:softmax { rows = rows, cols = 7 * rows, ld = ld })
        made(set:layernorm { rows = rows, C = 23, ldx = ld, ldy = 96, eps = 1e-6 * rows })
        made(set:keys { keys = 300 * rows, d = 8 }.place { count = 5, k_stride = ld })
        made(set:gemm { M = 60 * rows, N = 16, K = 4 * rows, lda = ld, ldc = 96 })
      end
    end
    local count = 0
    for _ in pairs(functions) do count = count + 1 end
    equal(count, 8)
    equal(#set.prototypes, 8)
  end)

  it("are called with their numbers behind what they are given", function()
    local set = new(plain)
    local add = set:rows("add", { rows = 3, C = 20, ldx = 32, ldy = 48 })
    equal(set:call(add, "x", "y"), "msa_add_f32_32(x, y, 3, 32, 48)")
    equal(#set:signature(add), 2)
    equal(set:signature(add)[1].const, true)
    equal(set:signature(add)[2].const, false)
    holds(set.prototypes[1], "void msa_add_f32_32(const float *restrict x, float *restrict y, size_t rows, size_t ldx")
    equal(set:call("msa_proc", "x"), "msa_proc(x)")
  end)

  it("tell attentions apart by everything their text depends on", function()
    local set, seen = new(plain), {}
    for _, f in ipairs { {}, { counted = true }, { ldq = 48 }, { ldo = 48 }, { row = 5, rel = { n = 5, ld = 16 } },
      { row = 5, rel = { n = 5, ld = 48 } }, { row = 5 } } do
      local g = { M = 3, keys = 25, d = 8, ldq = 16, ldo = 16 }
      for k, v in pairs(f) do g[k] = v end
      local name = set:attend(g)
      equal(set:attend(g), name)
      seen[name] = (seen[name] or 0) + 1
    end
    local count = 0
    for name, times in pairs(seen) do
      count = count + 1
      -- rows of 5 in 25 keys are one tile either way
      assert(times == 1 or name == set:attend { M = 3, keys = 25, d = 8, ldq = 16, ldo = 16 }, name)
    end
    assert(count >= 6, count)
  end)

  for _, name in ipairs { "plain", "adapted", "late", "wide" } do
    it("of a model have one definition and one prototype each: " .. name, function()
      for _, board in ipairs(boards.all()) do
        local device = tiny.device(work, name)
        device.board = board.name
        local set = require "compiler.compiler".schedule(device, "test").kernels
        local defined, declared = {}, {}
        for _, text in ipairs(set.texts) do
          local count = 0
          for static, kernel in text:gmatch "%f[^\n\0]([a-z ]-)void (msa_[%w_]+)%(" do
            assert(not defined[kernel], kernel .. " is defined twice")
            defined[kernel] = static == "" and "extern" or "static"
            count = count + 1
          end
          equal(count, 1, "functions in a kernel's text")
          assert(text:match "^%s*/%*.-%*/", "a kernel without a comment: " .. text:sub(1, 60))
        end
        for _, prototype in ipairs(set.prototypes) do
          local kernel = prototype:match "^void (msa_[%w_]+)%(.*%);$"
          assert(kernel and not declared[kernel], prototype)
          declared[kernel] = true
          local found = false
          for _, text in ipairs(set.texts) do
            found = found or text:find(prototype:sub(1, -2) .. "\n{", 1, true) ~= nil
          end
          assert(found, "no definition has the prototype " .. prototype)
        end
        for kernel, linkage in pairs(defined) do equal(declared[kernel] or false, linkage == "extern", kernel) end
        -- Every kernel that is called is there, and stands before its caller.
        local before = {}
        for _, text in ipairs(set.texts) do
          local own = text:match "void (msa_[%w_]+)%("
          for kernel in text:gmatch "(msa_[%w_]+)%(" do
            if kernel:match "^msa_gemm_" or kernel:match "^msa_tile_" or kernel:match "^msa_attend_"
              or kernel:match "^msa_softmax_" then
              assert(before[kernel] or kernel == own, own .. " calls " .. kernel .. ", which is not there yet")
            end
          end
          before[own] = true
        end
      end
    end)
  end
end)

-- ---- compiled kernels against the plain loops ----

local at = 0
--- The next of an endless supply of numbers in [-1, 1).
local function numbers(rows, width)
  at = at + rows * width
  return reference.pattern(at - rows * width, rows, width)
end

--- One program for a board: cases add C, input and what must come out.
local function program(board)
  reference = require "msagen.reference".of(board.arithmetic)
  local p = { set = new(board), body = {}, input = {}, expected = {}, names = {} }
  local function c(format, ...) p.body[#p.body + 1] = "    " .. format:format(...) end
  -- A matrix read from the input, rows ld apart, NaN around it.
  function p.take(name, t, ld, room)
    p.input[#p.input + 1] = t:tobytes()
    c("float *%s = take(%d, %d, %d, %d);", name, t.shape[1], t.shape[2], ld, room or t.shape[1] * ld)
  end
  -- [K,N] in panels of 16, zeros in the last one.
  function p.panels(name, t)
    p.input[#p.input + 1] = t:tobytes()
    c("float *%s = panels(%d, %d);", name, t.shape[1], t.shape[2])
  end
  -- n floats and zeros up to a multiple of 16.
  function p.vector(name, t)
    p.input[#p.input + 1] = t:tobytes()
    c("float *%s = vector(%d);", name, t:numel())
  end
  function p.room(name, floats) c("float *%s = room(%d);", name, floats) end
  function p.call(format, ...) c(format .. ";", ...) end
  -- Call a kernel. @param ... arguments, false for those that it has not
  function p.kernel(kernel, ...)
    local list = {}
    for _, argument in ipairs { ... } do list[#list + 1] = argument or nil end
    c("%s;", p.set:call(kernel, table.unpack(list)))
  end
  function p.give(title, name, expected, ld)
    c("give(%s, %d, %d, %d);", name, expected.shape[1], expected.shape[2], ld)
    p.names[#p.names + 1] = title
    p.expected[#p.expected + 1] = expected:tobytes()
  end
  function p.case(body)
    p.body[#p.body + 1] = "    {\n    used = 0;"
    body(p)
    p.body[#p.body + 1] = "    }"
  end
  return p
end

local HARNESS = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "simd.h"
$(kernels)
static float memory[$(room)] __attribute__((aligned(64))); /* of one case: boards are small */
static size_t used;
static float *room(size_t n)
{
    float *p = memory + used;
    if (n + 32 > sizeof memory / sizeof *memory - used) exit(2);
    used += (n + 16 + 15) / 16 * 16;
    for (size_t i = 0; i < n + 16; ++i) p[i] = msa_from_bits(0x7fc00000u);
    return p;
}
static void fill(float *p, size_t n) { if (fread(p, sizeof(float), n, stdin) != n) exit(3); }
static float *take(size_t rows, size_t width, size_t ld, size_t n)
{
    float *p = room(n);
    for (size_t i = 0; i < rows; ++i) fill(p + i * ld, width);
    return p;
}
static float *panels(size_t K, size_t N)
{
    float *p = room((N + 15) / 16 * 16 * K), *row = room(N);
    for (size_t k = 0; k < K; ++k) {
        fill(row, N);
        for (size_t n = 0; n < (N + 15) / 16 * 16; ++n) p[n / 16 * 16 * K + k * 16 + n % 16] = n < N ? row[n] : 0.0f;
    }
    return p;
}
static float *vector(size_t n)
{
    float *p = room((n + 15) / 16 * 16);
    memset(p, 0, (n + 15) / 16 * 16 * sizeof *p);
    fill(p, n);
    return p;
}
static void give(const float *p, size_t rows, size_t width, size_t ld)
{
    for (size_t i = 0; i < rows; ++i) fwrite(p + i * ld, sizeof(float), width, stdout);
}
int main(void)
{
$(body)
    return 0;
}
]]

--- Compile and run the cases. @return titles of those that came out otherwise
local function run(p, board)
  local dir = work .. "/" .. board.name
  sys.mkdir_p(dir)
  sys.write_file(dir .. "/simd.h", template.file(folder, "simd.h", { isa = board.isa, made_by = "", flags = "" }))
  sys.write_file(dir .. "/msa_arith.h",
    require "emit.emit".arith(sys.read_file(msagen.datadir .. "/runtime/msa_arith.h"),
    board.arithmetic))
  sys.write_file(dir .. "/kernels.c", template.render(HARNESS, "harness",
    { kernels = table.concat(p.set.texts), body = table.concat(p.body, "\n"), room = board.memories and 800000
    or 16000000 }))
  sys.write_file(dir .. "/in", table.concat(p.input))
  tiny.compile(board, { "-std=c11", "-O1", "-ffp-contract=off", "-fno-math-errno", "-w", "-I", dir },
    dir .. "/kernels.c", dir .. "/kernels")
  local call = tiny.command(board, dir .. "/kernels")
  call.stdin, call.stdout, call.stderr = dir .. "/in", dir .. "/out", "capture"
  equal((sys.spawn(call)), 0, "exit status")
  local out, from, wrong = sys.read_file(dir .. "/out"), 1, {}
  for i, expected in ipairs(p.expected) do
    if out:sub(from, from + #expected - 1) ~= expected then wrong[#wrong + 1] = p.names[i] end
    from = from + #expected
  end
  equal(from - 1, #out, "bytes")
  return wrong
end

local function gemms(p)
  -- One row, one column, one step; tails of rows and of columns; long sums; then the cheapest tilings that start with
  -- rows, or that cut k twice.
  local function in_rows(tiling) return tiling.order == "rows" end
  local function in_thirds(tiling) return #tiling.blocks == 3 end
  local function both(tiling) return in_rows(tiling) and in_thirds(tiling) end
  for _, s in ipairs { { 1, 1, 1 }, { 1, 17, 48 }, { 3, 16, 2 }, { 13, 33, 50 }, { 29, 90, 7 }, { 5, 20, 1601 },
    { 31, 120, 21, in_rows }, { 7, 40, 211, in_thirds }, { 31, 120, 200, both } } do
    local M, N, K, wanted = table.unpack(s, 1, 4)
    for _, kind in ipairs { { "zero", "none" }, { "zero", "gelu" }, { "bias", "none" }, { "bias", "gelu" },
      { "bias", "relu" }, { "keep", "none" }, { "keep", "relu" }, { "keep_bias", "none" }, { "keep_bias", "relu" },
      { "zero", "none", true }, { "bias", "none", true } } do
      local init, act, residual = kind[1], kind[2], kind[3] or false
      if wanted and wanted ~= in_rows and residual then goto continue end -- a residual takes k as a whole
      local tiling
      for _, one in ipairs(wanted and tiles.candidates(p.set.isa, p.set.board,
        { M = M, panels = (N + 15) // 16, K = K, init = init, act = act, residual = residual }) or {}) do
        tiling = tiling or (wanted(one) and one)
      end
      assert(tiling or not wanted, "no such tiling")
      p.case(function()
        local a, w, bias, c = numbers(M, K), numbers(N, K), numbers(1, N), numbers(M, N)
        local lda, ldc = kernels.stride(K), kernels.stride(N)
        p.take("a", a, lda)
        p.panels("b", w:transpose())
        local keeps, biased = tiles.keeps(init), tiles.biased(init)
        if biased then p.vector("bias", bias) end
        if keeps or residual then p.take("c", c, ldc) else p.room("c", M * ldc) end
        p.kernel(p.set:gemm { M = M, N = N, K = K, lda = lda, ldc = ldc, init = init, act = act,
          residual = residual, tiling = tiling }, "a", "b", biased and "bias" or false, "c")
        local expected
        if keeps then
          -- c + a b: the plain loops get c as steps of its own, before those of a.
          local one, both_a, both_w = {}, {}, {}
          for i = 0, M - 1 do
            for j = 0, M - 1 do both_a[#both_a + 1] = i == j and 1 or 0 end
            for k = 0, K - 1 do both_a[#both_a + 1] = a:get(i, k) end
          end
          for n = 0, N - 1 do
            for i = 0, M - 1 do both_w[#both_w + 1] = c:get(i, n) end
            for k = 0, K - 1 do both_w[#both_w + 1] = w:get(n, k) end
          end
          expected = reference.linear(tensor.from(both_a, { M, M + K }), tensor.from(both_w, { N, M + K }),
            biased and bias or nil)
        else
          expected = reference.linear(a, w, biased and bias or nil)
        end
        if act ~= "none" then expected = activations.run(reference, act, expected) end
        if residual then expected = reference.add(c, expected) end
        p.give(("gemm %dx%dx%d %s %s%s"):format(M, N, K, init, act, residual and " residual" or ""), "c", expected, ldc)
      end)
      ::continue::
    end
  end
end

local function norms(p)
  for _, s in ipairs { { 1, 1 }, { 3, 5 }, { 2, 16 }, { 7, 23 }, { 4, 64 }, { 5, 100 }, { 3, 257 }, { 11, 48 } } do
    p.case(function()
      local rows, C = s[1], s[2]
      local x, gamma, beta = numbers(rows, C), numbers(1, C), numbers(1, C)
      local ldx, ldy = kernels.stride(C), kernels.stride(C) + 32
      p.take("x", x, ldx)
      p.input[#p.input + 1] = gamma:tobytes() .. beta:tobytes()
      p.call("float *w = room(%d)", 2 * kernels.round16(C))
      p.call("fill(w, %d), fill(w + %d, %d)", C, kernels.round16(C), C)
      p.room("y", rows * ldy)
      p.kernel(p.set:layernorm { rows = rows, C = C, ldx = ldx, ldy = ldy, eps = 1e-6 }, "x", "w", "y")
      local normed = reference.layernorm(x, gamma, beta, 1e-6)
      p.give(("layer norm %dx%d"):format(rows, C), "y", normed, ldy)
      -- The same in two steps, of which the second one may be done again.
      local fields = { rows = rows, C = C, ldx = ldx, ldy = ldy, eps = 1e-6, moments = "kept" }
      p.room("moments", 2 * rows)
      p.room("again", rows * ldy)
      p.kernel(p.set:layernorm(fields), "x", "moments")
      fields.moments = "given"
      p.kernel(p.set:layernorm(fields), "x", "w", "moments", "again")
      p.give(("layer norm by moments %dx%d"):format(rows, C), "again", normed, ldy)
    end)
  end
end

-- The norm of a map by its three kernels, lines of it one after the other.
local function map_norms(p)
  for _, s in ipairs { { 1, 1, 1 }, { 2, 3, 5 }, { 4, 6, 16 }, { 3, 7, 23 }, { 6, 5, 64 }, { 2, 4, 100 } } do
    p.case(function()
      local lines, places, C = table.unpack(s)
      local rows = lines * places
      local x, gamma, beta = numbers(rows, C), numbers(1, C), numbers(1, C)
      local ldx, ldy = kernels.stride(C), kernels.stride(C) + 32
      p.take("x", x, ldx)
      p.input[#p.input + 1] = gamma:tobytes() .. beta:tobytes()
      p.call("float *w = room(%d)", 2 * kernels.round16(C))
      p.call("fill(w, %d), fill(w + %d, %d)", C, kernels.round16(C), C)
      p.room("y", rows * ldy)
      p.call "float mean[1], deviation[1]"
      p.room("sums", lines)
      for _, squares in ipairs { false, true } do
        local sum = p.set:line_sum { rows = places, C = C, ldx = ldx, squares = squares }
        for line = 0, lines - 1 do
          p.kernel(sum, ("x + %d"):format(line * places * ldx), squares and "mean", "sums + " .. line)
        end
        p.kernel(p.set:map_moment { lines = lines, values = rows * C, eps = squares and 1e-5 or nil }, "sums",
          squares and "deviation" or "mean")
      end
      p.kernel(p.set:mapnorm { rows = rows, C = C, ldx = ldx, ldy = ldy }, "x", "w", "mean", "deviation", "y")
      p.give(("norm of a map %dx%dx%d"):format(lines, places, C), "y", reference.mapnorm(x, gamma, beta, 1e-5, places),
        ldy)
    end)
  end
end

local function element_wise(p)
  local rows, C = 3, 21
  local ld = kernels.stride(C)
  local s = string.unpack("<f", string.pack("<f", 0.7))
  for _, kind in ipairs { "add", "sum", "add2", "addscaled", "scale", "gelu", "relu" } do
    p.case(function()
      local x, y, z = numbers(rows, C), numbers(rows, C), numbers(rows, C)
      p.take("x", x, ld)
      p.take("y", y, ld)
      p.take("z", z, ld)
      local name = p.set:rows(kind, { rows = rows, C = C, ldx = ld, ldy = kind ~= "scale"
        and not activations.entries[kind] and ld or nil, ldz = ld,
        s = (kind == "scale" or kind == "addscaled") and 0.7 or nil })
      local arguments, result, expected
      if kind == "add" then arguments, result, expected = { "x", "y" }, "y", reference.add(y, x)
      elseif kind == "sum" then arguments, result, expected = { "x", "y", "z" }, "z", reference.add(x, y)
      elseif kind == "add2" then
        arguments, result, expected = { "x", "y", "z" }, "z", reference.add(z, reference.add(x, y))
      elseif kind == "addscaled" then arguments, result, expected = { "x", "y", "z" }, "z",
        reference.add(z, reference.add(x, y, s))
      elseif kind == "scale" then arguments, result, expected = { "x" }, "x", x:scale(s)
      else arguments, result, expected = { "x" }, "x", activations.run(reference, kind, x) end
      p.kernel(name, table.unpack(arguments))
      p.give("rows " .. kind, result, expected, ld)
    end)
  end
end

local function attentions(p)
  -- { queries, keys, width, row of the key grid or nil, count or nil, relative positions }
  local cases = { { 3, 7, 5 }, { 1, 1, 1 }, { 5, 23, 16, nil, 6 }, { 4, 23, 20, nil, 23 }, { 6, 300, 12 },
    { 2, 529, 3, 23 }, { 7, 25, 10, 5, nil, true }, { 4, 196, 33, 14, nil, true }, { 3, 289, 16, 17, nil, true },
    { 3, 361, 8, 19, nil, true }, { 37, 100, 20 }, { 19, 81, 24, 9, nil, true },
    -- More tokens than a tile of keys, counted in the first and in the last; rows of the grid longer than 256 keys.
    { 4, 264, 16, nil, 7 }, { 33, 264, 40, nil, 250 }, { 5, 264, 16, nil, 259 }, { 3, 264, 16, nil, 264 },
    { 2, 900, 4, 300 }, { 2, 66049, 2, 257, nil, true } }
  if p.set.board.memories then cases[#cases] = nil end -- megabytes
  for _, case in ipairs(cases) do
    local M, N, d, row, count, rel = table.unpack(case, 1, 6)
    p.case(function()
      local q, k, v = numbers(M, d), numbers(N, d), numbers(N, d)
      local ldq, ldo, ldk, ldr = kernels.stride(d), kernels.stride(d) + 32, kernels.stride(d) + 64, row
        and kernels.stride(row)
      local options = { heads = 1, tile = kernels.key_tile(N, row), count = count or N }
      if rel then
        options.side, options.place = row, {}
        options.rel_h, options.rel_w = numbers(2 * row - 1, d), numbers(2 * row - 1, d)
        local full_h, full_w = reference.linear(q, options.rel_h), reference.linear(q, options.rel_w)
        local rh, rw = {}, {}
        for i = 0, M - 1 do
          local place = (i * 31 + 3) % N
          options.place[i + 1] = place
          for j = 0, row - 1 do
            rh[#rh + 1] = full_h:get(i, place // row + row - 1 - j)
            rw[#rw + 1] = full_w:get(i, place % row + row - 1 - j)
          end
        end
        p.take("rh", tensor.from(rh, { M, row }), ldr)
        p.take("rw", tensor.from(rw, { M, row }), ldr)
      end
      p.take("q", q, ldq)
      -- Keys come in two lots, and what attention reads past a head's width is the next head's.
      p.take("k", k, ldk)
      p.take("v", v, ldk)
      local packed = p.set:keys { keys = N, row = row, d = d }
      local attend, sizes = p.set:attend { M = M, keys = N, row = row, d = d, ldq = ldq, ldo = ldo,
        counted = count ~= nil, rel = rel and { n = row, ld = ldr } }
      p.room("kp", packed.k)
      p.room("vp", packed.v)
      local half = N > 1 and N // 2 or N
      p.kernel(packed.place { count = half, k_stride = ldk }, "0", "k", "v", "kp", "vp")
      if half < N then
        p.kernel(packed.place { count = N - half, k_stride = ldk }, tostring(half), "k + " .. half * ldk,
          "v + " .. half * ldk, "kp", "vp")
      end
      p.room("s", sizes.s)
      p.room("o", sizes.o)
      p.room("stat", sizes.stat)
      p.room("out", M * ldo)
      if d > 1 then p.kernel(p.set:rows("scale", { rows = M, C = d, ldx = ldq, s = 1 / math.sqrt(d) }), "q") end
      p.kernel(attend, "q", "kp", "vp", rel and "rh" or false, rel and "rw" or false, "s", "o", "stat", "out",
        count and tostring(count) or false)
      p.give(("attention %dx%dx%d row %s count %s%s"):format(M, N, d, tostring(row), tostring(count), rel and " rel"
        or ""), "out", reference.attention(q, k, v, options), ldo)
    end)
  end
end

local here = tiny.boards()
if spec.compiles() then
  -- Below the full tier the best board of this CPU and another, and one that is emulated: golden cases run on all.
  local emulated = tiny.emulated()
  if not tier.full then
    here = { here[#here], tier.chosen({ table.unpack(here, 1, #here - 1) }, "kernels") }
    emulated = #emulated > 0 and { tier.chosen(emulated, "kernels") } or emulated
  end
  table.move(emulated, 1, #emulated, #here + 1, here)
else
  here = { here[#here] }
end
describe("compiled kernels are the plain loops, bit for bit:", function()
  for _, board in ipairs(here) do
    it(board.name, function()
      local p = program(board)
      gemms(p)
      norms(p)
      map_norms(p)
      element_wise(p)
      attentions(p)
      assert(#p.names > 50)
      equal(table.concat(run(p, board), "; "), "", "kernels that compute something else")
    end)
  end
end)

describe("where boards fetch panels ahead", function()
  it("products of one block of k do, and are the plain loops", function()
    for _, board in ipairs(tier.full and here or { here[1] }) do
      local p = program(setmetatable({ prefetch = 64, name = board.name .. "-ahead" }, { __index = board }))
      gemms(p)
      local texts = table.concat(p.set.texts)
      holds(texts, "_ahead")
      holds(texts, "msa_prefetch(next + k")
      for _, f in ipairs(p.set.products) do
        local g = p.set.products[f]
        assert(not g.ahead or (#g.blocks == 1 and g.order == "columns"), f)
      end
      equal(table.concat(run(p, p.set.board), "; "), "", "kernels that compute something else")
    end
  end)
end)

-- Whether turns to loads are few is what the compiler makes of a tile: in its loop over k nothing may stand between
-- multiply-adds, and no sum on the stack.
describe("tiles of boards on which turns to loads cost", function()
  for _, board in ipairs(tier.quick and {} or boards.all()) do
    if board.core.turn and not boards.compiles(board) then
      spec.skipped = spec.skipped + 1
      io.stdout:write(("skipped %s: there is no %s\n"):format(board.name, board.compiler))
    elseif board.core.turn then
      it("load, then multiply: " .. board.name, function()
        local dir, set = work .. "/turns-" .. board.name, new(board)
        sys.mkdir_p(dir)
        for _, K in ipairs { 768, 3072 } do
          set:gemm { M = 128, N = 64, K = K, lda = kernels.stride(K), ldc = kernels.stride(64), init = "bias" }
        end
        for _, text in ipairs(set.texts) do
          local inside = text:match "\n    for %(size_t k = 0; [^\n]*(.-)\n    }"
          if inside and text:find "void msa_tile_" then
            local rows, vectors = tonumber(text:match "msa_tile_f32_(%d+)x"),
              tonumber(text:match "msa_tile_f32_%d+x(%d+)") // board.isa.width
            equal(select(2, inside:gsub("msa_load", "")), rows + board.isa.width * vectors)
            equal(select(2, inside:gsub("msa_vfma_lane", "")), rows * board.isa.width * vectors)
          end
        end
        sys.write_file(dir .. "/msa_simd.h", template.file(folder, "simd.h",
          { isa = board.isa, made_by = "", flags = "" }))
        sys.write_file(dir .. "/msa_arith.h", sys.read_file(msagen.datadir .. "/runtime/msa_arith.h"))
        sys.write_file(dir .. "/tiles.c", '#include "msa_simd.h"\n' .. table.concat(set.texts, "\n"))
        local command = { board.compiler, "-std=c99", "-ffp-contract=off", "-fno-math-errno", "-w", "-c", "-o",
          dir .. "/tiles.o", dir .. "/tiles.c", table.unpack(board.flags) }
        for word in board.optimisation:gmatch "%S+" do command[#command + 1] = word end
        tiny.must(command)
        local loops, body, name = 0, {}, ""
        for line in tiny.must { board.compiler:match "^(.*)gcc$" .. "objdump", "-d", "--no-show-raw-insn",
          dir .. "/tiles.o" }:gmatch "[^\n]+" do
          if line:find "^%x+ <" then name, body = line:match "<(.*)>", {} end
          local at, instruction = line:match "^%s*(%x+):%s*(.*)$"
          if at then body[#body + 1] = { at = tonumber(at, 16), text = instruction } end
          local target = at and instruction:match "^b[%.%a]*%s+(%x+) <"
          if name:find "^msa_tile_" and target and tonumber(target, 16) < tonumber(at, 16) then
            local order = "" -- multiply-adds, and whatever else
            for _, one in ipairs(body) do
              local kind = one.at >= tonumber(target, 16) and (one.text:find "^fmla" and "m" or "l")
              if kind and order:sub(-1) ~= kind then order = order .. kind end
            end
            if order:find "m" then -- else a way around the loop
              for _, one in ipairs(body) do
                assert(one.at < tonumber(target, 16) or not one.text:find "%[sp", name .. ": " .. one.text)
              end
              loops = loops + 1
              equal(order, "lml", name)
            end
            body = {}
          end
        end
        equal(loops, 1, "loops over k")
      end)
    end
  end
end)
