-- SPDX-License-Identifier: Apache-2.0
-- What evidence reads off generated C: where functions are, what they call, and how often their loops run at most.
local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local c_text, loops = require "report.c_text", require "evidence.loops"
local operations, texts = require "evidence.operations", require "evidence.text"

-- A text as evidence.text has the files of a folder.
local function read(text)
  local of = { functions = {}, by_key = {} }
  for _, f in ipairs(c_text.read(text).functions) do
    f.key, f.file, f.stem, f.text = f.name, "a.c", "a", f.code
    of.functions[#of.functions + 1], of.by_key[f.key] = f, f
  end
  function of.find(_, name) return of.by_key[name] end
  for _, f in ipairs(of.functions) do
    local calls = {}
    for _, name in ipairs(texts.calls(f.code)) do calls[name] = of.by_key[name] and true or nil end
    f.calls = calls
  end
  return of
end

local function trips(text)
  local out = {}
  for i, one in ipairs(loops.of(read(text), { a = true })) do out[i] = one.trips or false end
  return out
end

describe("calls of generated C", function()
  it("are found, comments and texts aside", function()
    local of = read [[
static inline float one(float x) { return x; }
/* Two. */
void two(const float *x,
    size_t n)
{
    const char *s = "three(4)";
    for (size_t i = 0; i < n; ++i) {
        one(x[i]); /* four(x) */
        if (n > 4) two(x, n - 1);
    }
}
]]
    equal({ of.functions[2].first, of.functions[2].last }, { 3, 11 })
    equal(texts.calls(of.functions[2].code), { "one", "two" })
  end)
end)

describe("loops of generated C", function()
  it("run as often as numbers, tables and constants made of them say", function()
    equal(trips [[
void f(float *x, uint32_t core)
{
    static const uint32_t strips[5] = {0, 512, 1024, 0, 1024};
    const size_t whole = 23 / 4 * 4, here = whole < 9 ? whole : 9;
    for (size_t i = 0; i < 100; i += 8) x[i] = 0.0f;
    for (size_t t = strips[core]; t < strips[core + 1]; t += 64) x[t] = 0.0f;
    for (size_t k = whole; k < 23; ++k) x[k] = 0.0f;
    for (size_t k = 0; k < here; ++k) x[k] = 0.0f;
}
]], { 13, 16, 3, 9 })
  end)

  it("of a parameter as the largest of all calls says, through functions between", function()
    equal(trips [[
static void g(float *x, size_t n, size_t m)
{
    for (size_t i = 0; i < n && i < m; i += 2) x[i] = 0.0f;
}
static void h(float *x, size_t n)
{
    g(x, n * 3, 1000);
}
void f(float *x, size_t count)
{
    h(x, 7);
    h(x + 4, 5);
    g(x, 9, count);
}
]], { 11 })
  end)

  it("have none where a call, an assignment or a recursion hides it, nor as while", function()
    equal(trips [[
void f(float *x, size_t n)
{
    for (size_t i = 0; i < n; ++i) x[i] = 0.0f;
    while (n > 0) { --n; }
}
static void g(float *x, size_t n)
{
    n += 4;
    for (size_t i = 0; i < n; ++i) x[i] = 0.0f;
}
static void r(float *x, size_t n)
{
    for (size_t i = 0; i < n; ++i) x[i] = 0.0f;
    r(x, n + 1);
}
void top(float *x)
{
    g(x, 3);
    r(x, 3);
}
]], { false, false, false, false })
  end)
end)

describe("operations of generated C", function()
  it("are as many as loops and calls make them, and exact where sizes depend on the trip", function()
    local of = read [[
static inline float msa_fma(float a, float b, float c) { return a * b + c; }
static inline void msa_store(float *p, float v)
{
    *p = v;
}
static void strip(float *x, size_t n)
{
    for (size_t i = 0; i < n; ++i) x[i] = msa_fma(x[i], x[i], 1.0f);
    msa_store(x, 0.0f);
}
void layer(float *x, size_t count)
{
    for (size_t i = 0; i < 100; i += 8) {
        const size_t here = 100 - i < 8 ? 100 - i : 8;
        strip(x + i, here);
    }
    for (size_t i = 0; i < 24 && i < count; i += 8) {
        for (size_t j = 0; j < 3; ++j) { strip(x, 2); }
    }
}
void image(float *x, size_t width)
{
    for (size_t i = 0; i < width; ++i) msa_store(x + i, 0.0f);
}
]]
    for _, f in ipairs(of.functions) do
      if f.name == "msa_fma" or f.name == "msa_store" then f.stem = "simd.h" end
    end
    local list, names, open = operations.of(of, { { name = "a", functions = { "layer" } },
      { name = "b", functions = { "image" } } })
    equal(names, { "msa_fma", "msa_store" })
    equal(list[1].operations, { msa_fma = 100 + 9 * 2, msa_store = 13 + 9 })
    equal(open, { "image: for (size_t i = 0; i < width; ++i)" })
  end)
end)
