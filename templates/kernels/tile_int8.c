@ -- SPDX-License-Identifier: 0BSD
@ -- A tile of a product of whole numbers: exact sums of 32 bits, then floats. Sums stay in registers where the
@ -- instruction set has vectors of them.
@ local tall, wide = MR > 1, N > 16
@ local operation = form == "halves" and "bytes" or form
@ local vector = integer.vector and integer[operation]
@ local last = vector and N // integer.lanes - 1 or 0
@ local per = vector and 16 // integer.lanes or 1
@ local summed = out == "sums" or out == "sums_end"
@ local direct = vector and form ~= "columns" and integer.lanes == W and not flushes and not summed
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
@   if out == "linear" or out == "sums_end" then
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
@ local rows_scale = not out:find "^values" and out ~= "sums"
@ local function in_b(v, more)
@   return plus("b + k * 64", v // per, "bps", v % per * integer.lanes * 4 + (more or 0))
@ end
@ -- Words of `from` by those of b.
@ local function words(from)
@   local lanes, halves = operation == "bytes" and integer.bytes_lane, form == "halves"
@   if lanes then
    for (size_t k = 0; k < $(halves and "steps" or "steps / 4 * 4"); k += 4) {
@     for m = 0, MR - 1 do
        const msa_ints a$(m) = msa_load_ints($(plus(from .. (halves and " + k * 8" or " + k * 4"), m, "lda")));
@     end
@     for lane = 0, 3 do
@       for v = 0, last do
        const msa_ints b$(lane)_$(v) = msa_load_ints($(in_b(v, lane * 64)));
@         for m = 0, MR - 1 do
        c$(m)_$(v) = msa_bytes_lane$(lane)(c$(m)_$(v), a$(m), b$(lane)_$(v));
@         end
@       end
@     end
    }
@   end
@   if halves then return end
    for (size_t k = $(lanes and "steps / 4 * 4" or "0"); k < steps; ++k) {
@   if ahead then
        $(kernels:make("prefetch", "msa_prefetch", {}))(next + k * $(ahead));
@   end
@   for v = 0, last do
        const msa_ints b$(v) = msa_load_ints($(in_b(v)));
@   end
@   for m = 0, MR - 1 do
        const msa_ints a$(m) = msa_ints_of($(plus(from .. " + k * 4", m, "lda")));
@     for v = 0, last do
        c$(m)_$(v) = msa_$(operation)(c$(m)_$(v), a$(m), b$(v));
@     end
@   end
    }
@ end
@ local function by_words()
@   for m = 0, MR - 1 do for v = 0, last do
    msa_ints c$(m)_$(v) = $(biased and ("msa_load_ints(sums + %d)"):format(v * integer.lanes) or "{ 0 }");
@   end end
@   words "a"
@   if form == "halves" then
@     for m = 0, MR - 1 do for v = 0, last do
    c$(m)_$(v) = msa_shift7(c$(m)_$(v));
@     end end
@     words "a + 16"
@   end
@ end
@ -- Columns one after the other, some at a time: as many sums as there are registers for.
@ local function by_columns()
@   local size, across = 8 * number, integer.join and 4 or 2
@   local kind = ("int%d_t"):format(size)
    int32_t whole[$(MR * N)];
    const size_t length = steps * 16;
    for (size_t j = 0; j < $(N); j += $(across)) {
        const $(kind) *b0 = (const $(kind) *)(const void *)b + j * length;
@   for v = 1, across - 1 do
        const $(kind) *b$(v) = b$(v - 1) + length;
@   end
@   for m = 0, MR - 1 do
        const $(kind) *a$(m) = (const $(kind) *)(const void *)($(plus("a", m, "lda")));
@     for v = 0, across - 1 do
        $(integer.join and "msa_ints" or "int32_t") c$(m)_$(v) = $(integer.join and "{ 0 }" or "0");
@     end
@   end
        for (size_t k = 0; k < steps; ++k) {
@   for m = 0, MR - 1 do for v = 0, across - 1 do
            c$(m)_$(v) = msa_dot$(size)(c$(m)_$(v), a$(m), b$(v));
@   end end
@   for m = 0, MR - 1 do
            a$(m) += 16;
@   end
@   for v = 0, across - 1 do
            b$(v) += 16;
@   end
        }
@   for m = 0, MR - 1 do
@     if integer.join then
        const msa_ints d$(m) = msa_join(msa_join(c$(m)_0, c$(m)_1), msa_join(c$(m)_2, c$(m)_3));
        (void)memcpy(whole + $(m * N) + j, &d$(m), sizeof d$(m));
@     else for v = 0, across - 1 do
        whole[$(m * N + v) + j] = c$(m)_$(v);
@     end end
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
            for (size_t j = 0; j < 16; ++j) {
                whole[i * $(N) + p * 16 + j] = column[j];
            }
        }
    }
@ end
@ local parameters = { "const int8_t *restrict a", "const int8_t *restrict b" }
@ if out ~= "first" and out ~= "next" and out ~= "sums" then
@   parameters[#parameters + 1] = "const float *restrict scales"
@ end
@ if biased then parameters[#parameters + 1] = "const int32_t *restrict sums" end
@ if bias then parameters[#parameters + 1] = "const float *restrict bias" end
@ if out == "values_next" then parameters[#parameters + 1] = "const float *restrict alpha" end
@ parameters[#parameters + 1] = "float *restrict c, size_t steps"
@ if tall then parameters[#parameters + 1] = "size_t lda" end
@ if wide then parameters[#parameters + 1] = "size_t bps" end
@ if tall then parameters[#parameters + 1] = "size_t ldc" end
@ if rows_scale then parameters[#parameters + 1] = "size_t at" end
@ if ahead then parameters[#parameters + 1] = "const int8_t *next" end
/* c ($(MR), $(N)) = floats of a ($(MR), steps) b (steps, $(N)), $(form): $(formula). */
@ if W == 16 then
__attribute__((noinline))
@ end
static void $(name)($(table.concat(parameters, ", ")))
{
@ if form == "columns" then by_columns() elseif not vector then one_by_one()
@ else by_words() end
@ if rows_scale then
@   for m = 0, MR - 1 do
    const float s$(m) = msa_scale($(plus("a", m, "lda")) + at);
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
    (void)memcpy(whole + $(m * N + v * integer.lanes), &c$(m)_$(v), sizeof c$(m)_$(v));
@     end end
@   end
@   for m = 0, MR - 1 do
@     local row = plus("c", m, "ldc", 0)
@     if summed then
    for (size_t j = 0; j < $(N); ++j) {
        whole[$(m * N) + j] += (int32_t)msa_word($(row) + j);
    }
@     end
@     if out == "sums" then
    for (size_t j = 0; j < $(N); ++j) {
        msa_store_word($(row) + j, (uint32_t)whole[$(m * N) + j]);
    }
@     elseif flushes then
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
        for (size_t j = 0; j < $(N); j += $(W)) {
            msa_store(ci + j, $(activation.vector)(msa_load(ci + j)));
        }
    }
@ end
}

