@ -- SPDX-License-Identifier: 0BSD
@ -- A tile of a product of whole numbers: exact sums of 32 bits, then floats. Sums stay in registers where the
@ -- instruction set has vectors of them.
@ local vector = integer.vector and integer[form]
@ local last = vector and N // integer.lanes - 1 or 0
@ local per = vector and 16 // integer.lanes or 1
@ local tall, wide = MR > 1, N > 16
@ local direct = vector and integer.lanes == W and not flushes
@ local activated = activation.in_registers and (flushes and activation.scalar or activation.vector)
@ local biased = integer.biased and form == "bytes"
@ local function plus(base, times, stride, more)
@   if times > 0 then base = ("%s + %s%s"):format(base, times > 1 and times .. " * " or "", stride) end
@   return more and more > 0 and ("%s + %d"):format(base, more) or base
@ end
@ -- Place m, v of c; of the vector, or number, v of a tile's row.
@ local function in_c(m, v, size) return plus("c", m, "ldc", v * size) end
@ -- The result of a sum as a float. @param of names of operations @param x its text @param at the column's place
@ local function result(of, x, m, at, c)
@   if out == "linear" then
@     x = of.mul(of.mul(x, of.splat("s" .. m)), of.load("scales" .. at))
@     if bias then x = of.add(x, of.load("bias" .. at)) end
@     if activated then x = ("%s(%s)"):format(activated, x) end
@     if residual then x = of.add(of.load(c), x) end
@   elseif out == "first" then x = of.add(of.splat "0.0f", of.mul(x, of.splat("s" .. m)))
@   elseif out == "next" then x = of.add(of.load(c), of.mul(x, of.splat("s" .. m)))
@   elseif out == "last" then
@     x = of.mul(of.add(of.load(c), of.mul(x, of.splat("s" .. m))), of.load("scales" .. at))
@   elseif out == "values" then x = of.mul(x, of.load("scales" .. at))
@   else x = of.fma(of.load(c), of.splat(("alpha[%d]"):format(m)), of.mul(x, of.load("scales" .. at))) end
@   return x
@ end
@ local function call(name) return function(...) return ("%s(%s)"):format(name, table.concat({ ... }, ", ")) end end
@ local vectors = { mul = call "msa_vmul", add = call "msa_vadd", fma = call "msa_vfma", load = call "msa_load",
@   splat = call "msa_splat" }
@ local scalars = { mul = function(a, b) return ("(%s * %s)"):format(a, b) end,
@   add = function(a, b) return ("(%s + %s)"):format(a, b) end, fma = call "msa_fma",
@   load = function(p) return ("*(%s)"):format(p) end, splat = function(x) return x end }
@ local rows_scale = out ~= "values" and out ~= "values_next"
@ local function by_words()
@   for m = 0, MR - 1 do for v = 0, last do
    msa_ints c$(m)_$(v) = $(biased and ("msa_load_ints(sums + %d)"):format(v * integer.lanes) or "{ 0 }");
@   end end
@   local function b(v, more) return plus("b + k * 64", v // per, "bps", v % per * integer.lanes * 4 + (more or 0)) end
@   local lanes = form == "bytes" and integer.bytes_lane
@   if lanes then
    for (size_t k = 0; k < steps / 4 * 4; k += 4) {
@     for m = 0, MR - 1 do
        const msa_ints a$(m) = msa_load_ints($(plus("a + k * 4", m, "lda")));
@     end
@     for lane = 0, 3 do
@       for v = 0, last do
        const msa_ints b$(lane)_$(v) = msa_load_ints($(b(v, lane * 64)));
@       end
@       for m = 0, MR - 1 do for v = 0, last do
        c$(m)_$(v) = msa_bytes_lane$(lane)(c$(m)_$(v), a$(m), b$(lane)_$(v));
@       end end
@     end
    }
@   end
    for (size_t k = $(lanes and "steps / 4 * 4" or "0"); k < steps; ++k) {
@   for v = 0, last do
        const msa_ints b$(v) = msa_load_ints($(b(v)));
@   end
@   for m = 0, MR - 1 do
        const msa_ints a$(m) = msa_ints_of($(plus("a + k * 4", m, "lda")));
@     for v = 0, last do
        c$(m)_$(v) = msa_$(form)(c$(m)_$(v), a$(m), b$(v));
@     end
@   end
    }
@ end
@ local function one_by_one()
    int32_t whole[$(MR * N)];
    for (size_t i = 0; i < $(MR); ++i) {
        for (size_t p = 0; p < $(N // 16); ++p) {
            int32_t column[16] = { 0 };
            const int8_t *const bp = b$(wide and " + p * bps" or ""), *const ai = a$(tall and " + i * lda" or "");
            for (size_t k = 0; k < steps; ++k) {
@   if form == "bytes" then
                const int32_t a0 = ai[k * 4], a1 = ai[k * 4 + 1], a2 = ai[k * 4 + 2], a3 = ai[k * 4 + 3];
                for (size_t j = 0; j < 16; ++j) {
                    const int8_t *const bj = bp + k * 64 + j * 4;
                    column[j] += a0 * bj[0] + a1 * bj[1] + a2 * bj[2] + a3 * bj[3];
                }
@   else
                const int16_t *const a2 = (const int16_t *)(const void *)(ai + k * 4);
                for (size_t j = 0; j < 16; ++j) {
                    const int16_t *const bj = (const int16_t *)(const void *)(bp + k * 64 + j * 4);
                    column[j] += a2[0] * bj[0] + a2[1] * bj[1];
                }
@   end
            }
            for (size_t j = 0; j < 16; ++j) whole[i * $(N) + p * 16 + j] = column[j];
        }
    }
@ end
@ local words = { "const int8_t *restrict a", "const int8_t *restrict b" }
@ if out ~= "first" and out ~= "next" then words[#words + 1] = "const float *restrict scales" end
@ if biased then words[#words + 1] = "const int32_t *restrict sums" end
@ if bias then words[#words + 1] = "const float *restrict bias" end
@ if out == "values_next" then words[#words + 1] = "const float *restrict alpha" end
@ words[#words + 1] = "float *restrict c, size_t steps"
@ if tall then words[#words + 1] = "size_t lda" end
@ if wide then words[#words + 1] = "size_t bps" end
@ if tall then words[#words + 1] = "size_t ldc" end
@ if rows_scale then words[#words + 1] = "size_t at" end
/* c ($(MR), $(N)) = floats of a ($(MR), steps words) b (steps words, $(N)): $(formula). */
@ if W == 16 then
__attribute__((noinline))
@ end
static void $(name)($(table.concat(words, ", ")))
{
@ if vector then by_words() else one_by_one() end
@ if rows_scale then
@   for m = 0, MR - 1 do
    float s$(m);
    memcpy(&s$(m), $(plus("a", m, "lda")) + at, sizeof s$(m));
@   end
@ end
@ if direct then
@   for m = 0, MR - 1 do for v = 0, last do
@     local at = v > 0 and (" + %d"):format(v * W) or ""
    msa_store($(in_c(m, v, W)), $(result(vectors, ("msa_float_of(c%d_%d)"):format(m, v), m, at, in_c(m, v, W))));
@   end end
@ else
@   if vector then
    int32_t whole[$(MR * N)];
@     for m = 0, MR - 1 do for v = 0, last do
    memcpy(whole + $(m * N + v * integer.lanes), &c$(m)_$(v), sizeof c$(m)_$(v));
@     end end
@   end
@   for m = 0, MR - 1 do
@     local row = plus("c", m, "ldc", 0)
@     if flushes then
    for (size_t j = 0; j < $(N); ++j) {
        ($(row))[j] = $(result(scalars, ("(float)whole[%d + j]"):format(m * N), m, " + j", row .. " + j"));
    }
@     else
@       local value = result(vectors, ("msa_load_whole(whole + %d + j)"):format(m * N), m, " + j", row .. " + j")
    for (size_t j = 0; j < $(N); j += $(W)) {
        msa_store($(row) + j, $(value));
    }
@     end
@   end
@ end
@ if not activation.in_registers then
    for (size_t i = 0; i < $(MR); ++i) {
        float *const ci = c$(tall and " + i * ldc" or "");
        for (size_t j = 0; j < $(N); j += $(W)) msa_store(ci + j, $(activation.vector)(msa_load(ci + j)));
    }
@ end
}

