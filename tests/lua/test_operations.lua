-- SPDX-License-Identifier: Apache-2.0
-- Operations of matrix products: what the cost model predicts is what the text says, and what the compiler makes of it.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local operations, tier = require "kernels.operations", require "tier"

describe("operations of a text", function()
  local function count(name, bound, ...) return operations.counter({ ... }):count(name, bound) end
  local inner = [[
/* a comment: for (;;) msa_load(p) */
static void inner(const float *a, float *c)
{
    for (size_t k = 0; k < 7; ++k) {
        c0 = msa_vfma(msa_splat(a[k]), msa_load(a + k), c0);
    }
    msa_store(c, c0);
}
]]

  it("count once outside of loops and as often as a loop runs inside", function()
    equal(count("inner", {}, inner), { fma = 7, load = 7, broadcast = 7, store = 1, add = 0, relu = 0, gelu = 0,
      sigmoid = 0 })
  end)

  it("count loops of any step, nested, and in one line", function()
    local text = [[
void f(float *c)
{
    for (size_t i = 2; i < 11; i += 4) {
        for (size_t j = 0; j < 2; ++j) msa_store(c, msa_vadd(msa_vrelu(x), y));
        msa_store(c, msa_vgelu(x));
    }
    msa_load(c);
}
]]
    equal(count("f", {}, text), { fma = 0, load = 1, broadcast = 0, store = 9, add = 6, relu = 6, gelu = 3,
      sigmoid = 0 })
  end)

  it("count what is called", function()
    local outer = [[
void outer(const float *a, float *c)
{
    for (size_t i = 0; i < 5; ++i) {
        inner(a + i, c + i);
    }
    inner(a, c);
}
]]
    equal(count("outer", {}, inner, outer),
      { fma = 42, load = 42, broadcast = 42, store = 6, add = 0, relu = 0, gelu = 0, sigmoid = 0 })
  end)

  it("do not count constants as broadcasts", function()
    equal(count("f", {}, "void f(float *c)\n{\n    msa_store(c, msa_splat(0.0f));\n}\n").broadcast, 0)
  end)

  it("count loops up to what a call gives, through calls and prototypes of several lines", function()
    local row = [[
static void row(float *c,
    size_t width, size_t by)
{
    for (size_t j = by; j < width / 4 * 4; j += by) {
        msa_store(c, x);
    }
}
]]
    local outer = [[
void outer(float *c, size_t rows, size_t upper, size_t n)
{
    for (size_t i = 0; i < upper; i += 3) {
        row(c + i * 7,
            2 * n + 1, 4);
    }
    for (size_t i = upper; i < rows; ++i) row(c, 8, n - 5);
}
]]
    equal(count("row", { width = 11, by = 2 }, row).store, 3)
    equal(count("outer", { rows = 8, upper = 6, n = 7 }, row, outer).store, 2 * 2 + 2 * 3)
    equal(count("outer", { rows = 9, upper = 9, n = 6 }, outer, row).store, 3 * 2)
  end)

  it("are refused where a loop's bounds are not known", function()
    for _, head in ipairs { "size_t i = 0; i < n; ++i", "size_t i = n; i < 4; ++i", "size_t i = 0; i < 4; i += n",
      "size_t i = 0; j < 4; ++i", "size_t i = 0; i < 4; ++j" } do
      local ok, problem = pcall(count, "f", {}, "void f(float *c)\n{\n    for (" .. head .. ") msa_store(c, x);\n}\n")
      assert(not ok, head)
      spec.holds(problem, "bounds that are known")
    end
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end
local boards, kernels, template, tiny = require "target.boards", require "kernels.kernels", require "support.template",
  require "tiny_model"
local folder = msagen.datadir .. "/templates"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-operations-")
sys.cleanup(work)

--- Products of all forms, at sizes that divide nothing and at some of ViT-B's.
local function products(set)
  for _, s in ipairs { { 1, 1, 1 }, { 1, 256, 256 }, { 7, 20, 33 }, { 23, 256, 16 }, { 98, 196, 64 },
    { 128, 100, 3072 }, { 64, 768, 256 } } do
    for _, kind in ipairs { { "zero", "none" }, { "zero", "gelu" }, { "bias", "none" }, { "bias", "gelu" },
      { "bias", "relu" }, { "keep", "relu" }, { "bias", "none", true } } do
      set:gemm { M = s[1], N = s[2], K = s[3], lda = kernels.stride(s[3]), ldc = kernels.stride(s[2]), init = kind[1],
        act = kind[2], residual = kind[3] }
    end
  end
end

describe("predicted operations of products are those of the text", function()
  for _, board in ipairs(boards.all()) do
    it(board.name, function()
      local set = kernels.new(board.isa, board, folder)
      products(set)
      local list = set:explain()
      equal(#list, 49)
      for _, k in ipairs(list) do
        equal(k.counted, k.predicted, k.name)
        equal(k.predicted.fma, k.M * ((k.N + 15) // 16) * (16 // board.isa.width) * k.K, k.name)
        assert(k.predicted_cycles > 0)
      end
    end)
  end

  it("and those of whole numbers are listed, too", function()
    for _, board in ipairs(boards.all()) do
      local set = kernels.new(board.isa, board, folder)
      set:gemm_int8 { M = 64, N = 96, K = 64, lda = 128, ldc = 112, bias = true }
      set:gemm { M = 64, N = 96, K = 64, lda = 80, ldc = 112, precision = "bf16" }
      local whole, half = table.unpack(set:explain "mine")
      equal({ whole.type, whole.M, whole.N, whole.K, whole.out }, { "int8", 64, 96, 64, "linear" }, board.name)
      equal({ half.type, half.counted }, { "bf16", half.predicted }, board.name)
      assert(whole.name:find "^mine_gemm_int8" and whole.predicted_cycles > 0 and not whole.counted, board.name)
      equal(whole.rows[#whole.rows].last, 64, board.name)
      equal(whole.columns[#whole.columns].last, 96, board.name)
    end
  end)

  it("also where caches are small, and k is cut", function()
    for _, board in ipairs(boards.all()) do
      -- for a core that computes little in a cycle farther memory must be slow as well
      local slow = board.core and board.isa.width * board.core.fma_per_cycle <= 2
      board.caches, board.bytes_per_cycle = { l1 = 4096, l2 = 32768 }, slow and { l2 = 1, memory = 0.25 } or nil
      local set = kernels.new(board.isa, board, folder)
      products(set)
      local cut = 0
      for _, k in ipairs(set:explain()) do
        equal(k.counted, k.predicted, k.name)
        if #k.k_blocks > 1 then cut = cut + 1 end
      end
      assert(cut >= 6, cut)
    end
  end)
end)

-- An instruction is a line of the compiler's assembly; a function ends with its .size.
local here = spec.compiles() and tiny.boards() or {}
for _, board in ipairs(#here > 0 and tiny.emulated() or {}) do here[#here + 1] = board end

-- What is a multiply-add, and a vector on the stack, in the compiler's assembly: there may be addresses.
local ASSEMBLY = {
  avx2 = { fma = "\n\tvfmadd",
    stack = { "\n\tv[^\n]*[yz]mm[^\n]*%(%%[er][sb]p%)", "\n\tv[^\n]*%(%%[er][sb]p%)[^\n]*[yz]mm" } },
  helium = { fma = "\n\tvfma%.f32", stack = { "\n\tv[ls][dt][rm][^\n]*%[sp", "\n\tmov\t%w+, sp\n",
    "\n\tadd\t[rilf]%w+, sp, " } },
  neon = { fma = "\n\tfmla", stack = { "\n\t[ls][dt][rp]\tq[^\n]*%[sp" } },
  neon32 = { fma = "\n\tvfma", stack = { "\n\tv[ls][dt][r1][^\n]*%[sp", "\n\tv[ls][dt]mi?a?\tsp,",
    "\n\tmov\t%w+, sp\n", "\n\tadd\t[rilf]%w+, sp, " } },
}
ASSEMBLY.avx512 = ASSEMBLY.avx2

describe("compiled tiles have one multiply-add for each sum and keep all sums in registers:", function()
  for _, board in ipairs(tier.full and here or { here[1], here[#here] }) do
    local form = ASSEMBLY[board.isa.name]
    if form then
      it(board.name, function()
        local set = kernels.new(board.isa, board, folder)
        products(set)
        local text = table.concat(set.texts, "\n"):gsub("static void msa_tile",
          "static __attribute__((noinline)) void msa_tile")
        sys.write_file(work .. "/msa_simd.h",
          template.file(folder, "simd.h", { isa = board.isa, made_by = "", flags = "" }))
        sys.write_file(work .. "/products.c", '#include "msa_simd.h"\n' .. table.concat(set.prototypes, "\n") .. "\n"
          .. text)
        local command = { board.compiler, "-std=c99", "-ffp-contract=off", "-I", msagen.datadir .. "/runtime", "-I",
          work, "-S", "-o", work .. "/products.s", work .. "/products.c" }
        table.move(board.flags, 1, #board.flags, #command + 1, command)
        for word in (board.optimisation or "-O2"):gmatch "%S+" do command[#command + 1] = word end
        tiny.must(command)
        local assembly, seen = sys.read_file(work .. "/products.s"), 0
        for name, rows, columns, body in assembly:gmatch "\n(msa_tile_f32_(%d+)x(%d+)[%w_]*):\n(.-)\n\t%.size" do
          if not name:match "gelu" then -- which has multiply-adds of its own
            local _, fmas = body:gsub(form.fma, "")
            local W = board.isa.width
            -- multiply-adds of a sum in the text
            local loops = (not board.isa.fma_lane or name:match "_short") and 1 or name:match "_tail" and W + 1 or W
            equal(fmas, rows * columns // W * loops, name)
            for _, pattern in ipairs(form.stack) do
              assert(not body:match(pattern), name .. " has vectors on the stack")
            end
          end
          seen = seen + 1
        end
        equal(seen, select(2, text:gsub("noinline%)%) void msa_tile_", "")), "tiles")
        assert(seen > 15, seen)
      end)
    end
  end
end)
