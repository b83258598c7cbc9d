-- SPDX-License-Identifier: Apache-2.0
-- The bound of machine instructions, of C as the host's compiler makes it: no less than qemu counts, and no bound where
-- there is none.
local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys or not spec.compiles() then return end
local c_text, instructions = require "report.c_text", require "evidence.instructions"
local texts, tools = require "evidence.text", require "report.tools"

local function read(text)
  local of = { functions = {}, by_key = {}, files = { "a.c" } }
  for _, f in ipairs(c_text.read(text).functions) do
    f.key, f.file, f.stem, f.text, f.calls = f.name, "a.c", "a", f.code, {}
    of.functions[#of.functions + 1], of.by_key[f.key] = f, f
  end
  function of.find(_, name) return of.by_key[name] end
  for _, f in ipairs(of.functions) do
    for _, name in ipairs(texts.calls(f.code)) do f.calls[name] = of.by_key[name] and true or nil end
  end
  return of
end

-- Instructions that a program executes. @param calls of entry
local function executed(work, calls)
  local path = ("%s/run%d"):format(work, calls)
  sys.write_file(path .. ".c", ([[
int entry(int *x);
int room[4096];
void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
    for (int i = 0; i < %d; ++i) {
        entry(room);
    }
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
}
]]):format(calls))
  tools.must({ "cc", "-O1", "-nostdlib", "-static", "-o", path, path .. ".c", work .. "/a.o" }, "a compiler", path)
  local out = tools.must({ "sh", "-c", 'qemu-x86_64 -singlestep -d exec,nochain "$1" 2>&1 | grep -c "^Trace"', "sh",
    path }, "a shell", path)
  return math.tointeger(tonumber(out:match "%d+"))
end

-- The bound of entry(), and what runs. @param flags of the compiler @param cc the host's, or nil
local function measured(text, flags, cc)
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "instructions-")
  local ok, one, counted = pcall(function()
    sys.write_file(work .. "/a.c", text)
    tools.must(tools.joined({ cc or "cc", "-std=c99", tools.LINES, "-fno-pic", "-fcf-protection=none",
      "-fno-tree-vectorize", "-ffreestanding" }, flags or { "-O2" },
      { "-c", "-o", work .. "/a.o", work .. "/a.c" }), "a compiler", work)
    tools.must({ "ld", "-e", "entry", "-o", work .. "/image", work .. "/a.o" }, "binutils", work)
    local bound = instructions.of(read(text), { text }, { image = work .. "/image", tools = "", outside = {},
      stack = { { entry = "entry" } } })[1]
    return bound, executed(work, 2) - executed(work, 1)
  end)
  sys.remove_tree(work)
  if not ok then error(one, 0) end
  return one, counted
end

local function near(text, most, flags, cc)
  local one, counted = measured(text, flags, cc)
  assert(one.most, table.concat(one.open, "; "))
  assert(one.most >= counted - 6, ("%d instructions, %d computed"):format(counted, one.most)) -- those of the caller
  assert(one.most <= most * counted, ("%d instructions, %d computed"):format(counted, one.most))
end

local function no_bound(text, why)
  local one = measured(text)
  equal(one.most, nil)
  assert(table.concat(one.open, "; "):find(why, 1, true), table.concat(one.open, "; "))
end

local NESTED = [[
static int inner(const int *x, int n)
{
    int sum = 0;
    for (int i = 0; i < n; ++i) {
        sum += x[i] ^ i;
    }
    return sum;
}
int entry(int *x);
int entry(int *x)
{
    for (int t = 0; t < 40; ++t) {
        x[t] = inner(x, 100);
        x[t] += inner(x + 7, 30);
    }
    return x[3];
}
]]

local SAME = [[
static __attribute__((noinline)) int first(int *x, int n)
{
    for (int i = 0; i < n; ++i) {
        x[i] = x[i] * 3 + 1;
    }
    return x[0];
}
static __attribute__((noinline)) int second(int *y, int n)
{
    for (int i = 0; i < n; ++i) {
        y[i] = y[i] * 3 + 1;
    }
    return y[0];
}
int entry(int *x);
int entry(int *x)
{
    int sum = first(x, 10);
    for (int t = 0; t < 20; ++t) {
        sum += second(x + t, 100);
    }
    return sum;
}
]]

local WITHOUT = [[
int entry(int *x);
int entry(int *x)
{
    int i = 0;
    while (x[i] != 7 && i < 100) {
        x[i] += 1;
        ++i;
    }
    return i;
}
]]

local TANGLED = [[
static int *next(int *x)
{
    return x + 1;
}
int entry(int *x);
int entry(int *x)
{
    for (int r = 0; r < 50; ++r) {
        int *const row = x + 10 * r;
        if (r >= 11) {
            row[0] = *next(row) + r;
            continue;
        }
        for (int i = 0; i < 9; ++i) {
            row[i] = r ^ i;
        }
    }
    return x[0];
}
]]

local OUTLINES = [[

#define MSA_MODEL_INPUT_SIZE 16
void msa_upsample_row(msa_upsampler *u, uint32_t y, float *row)
{
    row[0] = (float)(u->width + y);
}
int entry(int *x);
int entry(int *x)
{
    static uint8_t chess[32], work[32];
    msa_outline outline;
    for (int i = 0; i < 32; ++i) {
        chess[i] = (i & 2) != 0 ? 0x55u : 0xaau;
    }
    return x[0] + (int)msa_contour(chess, 16, 16, work, (msa_corner *)0, 0, &outline);
}
]]

describe("the bound of machine instructions", function()
  local ok = pcall(sys.spawn, { "qemu-x86_64", "--version", stdin = "/dev/null", stdout = "/dev/null" })
  local x86 = ok and (tools.output({ "cc", "-dumpmachine" }, "a compiler")):find "^x86_64"
  local function measures(name, body)
    if x86 then it(name, body)
    else spec.skipped = spec.skipped + 1 -- there is no qemu-x86_64, or the compiler is for another machine
    end
  end
  measures("loops within loops, of functions that are put into others", function()
    for _, flags in ipairs { "-O1", "-O2", "-O3", "-Os" } do near(NESTED, 1.3, { flags }) end
  end)
  for _, cc in ipairs { "clang-14", "clang-19" } do
    if pcall(sys.spawn, { cc, "--version", stdin = "/dev/null", stdout = "/dev/null" }) then
      measures("the same by " .. cc .. ", which makes several turns of a loop one", function()
        for _, flags in ipairs { "-O1", "-O2", "-O3", "-Os" } do near(NESTED, 12, { flags }, cc) end
        for _, flags in ipairs { "-O1", "-O2", "-Os" } do near(TANGLED, 12, { flags }, cc) end
      end)
    end
  end
  measures("two functions that the compiler makes one have the calls of both", function()
    near(SAME, 1.1, { "-O2" })
  end)
  measures("branches that come together in loops", function()
    for _, flags in ipairs { "-O1", "-O2", "-Os" } do near(TANGLED, 3.2, { flags }) end
  end)
  measures("outlines, whose length is said of all together: of a chessboard, which has the most", function()
    local runtime = msagen.datadir .. "/runtime"
    near(sys.read_file(runtime .. "/msa_mask.c") .. OUTLINES, 3.2, { "-O2", "-fno-tree-loop-distribute-patterns",
      "-I" .. runtime })
  end)
  measures("a loop of which nothing says how often it runs has none, and is named", function()
    no_bound(WITHOUT, "a.c:5 entry: nothing says how often")
  end)
  measures("a loop that is no loop of the C has none, and is named", function()
    no_bound([[
int entry(int *x);
int entry(int *x)
{
    int n = x[0] & 15;
    __asm__ volatile("1: subl $1, %0\n\tjns 1b" : "+r"(n));
    return n;
}
]], "a.c:5: a loop of no C loop")
  end)
end)
