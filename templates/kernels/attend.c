@ -- SPDX-License-Identifier: 0BSD
@ -- One query tile against all keys of a head, a tile of keys at a time: the running maximum and sum of Milakov and
@ -- Gimelshein 2018, so that no row of logits is ever whole.
@ -- Rows of logits are filled a whole vector at a time: what is too much is overwritten by the next row. Not more than that: gcc 12
@ -- at -O2 turns the order of overlapping scalar stores around.
@ local function whole(n) return (n + W - 1) // W * W end
@ local pads = pad and pad.side * pad.side - keys or 0
/* out ($(M), $(d)), rows $(ldo) apart$(out_row and (", %d of them every %d,"):format(out_row.n, out_row.ld) or ""), = softmax(q k^T$(rel and " + r" or "")) v over $(keys) keys, tile by tile of $(tile). q ($(M), $(d)), rows $(ldq) apart, is
 * already scaled.$(rel and (" r = rh[key row] + rw[key column], a grid of %d x %d keys."):format(rel.n, rel.n) or "")$(counted and " Keys from `count` on do not count." or "")
@ if pads > 0 then
 * Of the window's $(pad.side) x $(pad.side) places $(pads) are padding: one key and one value for all of them, so the value enters once, weighted by their sum.
@ end
 * s, o and stat are scratch: $(M * lds), $(M * dpad) and $(4 * M) floats. $(2 * M * keys * d) multiply-adds. */
void $(name)(const float *restrict q, const float *restrict kp, const float *restrict vp,$(rel and " const float *restrict rh, const float *restrict rw," or "")$(pads > 0 and " const float *restrict k_pad, const float *restrict v_pad," or "") float *restrict s, float *restrict o, float *restrict stat, float *restrict out$(counted and ", size_t count" or ""))
{
    float *m = stat, *l = stat + $(M), *alpha = stat + $(2 * M);
    for (size_t i = 0; i < $(M); ++i) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
@ local function call(kernel, ...)
    $(kernels:call(kernel, ...));
@ end
@ local function count_from(t)
@   if keys <= tile then return "count" end
@   local first = t == "t" and "t * " .. tile or tostring(t * tile)
@   return ("count > %s ? count - %s : 0"):format(first, first)
@ end
@ local function one(t, keys_here)
@   local padded = (keys_here + 15) // 16 * 16
@   if rel then
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t y = 0; y < $(keys_here // rel.n); ++y) {
            const msa_vec row = msa_splat(rh[i * $(rel.ld) + $(t) * $(tile // rel.n) + y]);
            for (size_t x = 0; x < $(whole(rel.n)); x += $(W)) msa_store(s + i * $(lds) + y * $(rel.n) + x, msa_vadd(row, msa_load(rw + i * $(rel.ld) + x)));
        }
    }
@   end
@   call(kernels:gemm { M = M, N = keys_here, K = d, lda = ldq, ldc = lds, init = rel and "keep" or "zero" }, "q", ("kp + %s * %d"):format(t, padded_tile * d), "s")
@   call(kernels:softmax { rows = M, cols = keys_here, ld = lds, counted = counted }, "s", "m", "l", "alpha", counted and count_from(t) or nil)
@   return padded
@ end
@ local function rescale()
    for (size_t i = 0; i < $(M); ++i) {
        const msa_vec by = msa_splat(alpha[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) msa_store(o + i * $(dpad) + j, msa_vmul(msa_load(o + i * $(dpad) + j), by));
    }
@ end
@ local full = keys // tile
@ local rest = keys % tile
@ local function product(t, keys_here, init)
@   call(kernels:gemm { M = M, N = dpad, K = keys_here, lda = lds, bps = keys_here * 16, ldc = dpad, init = init }, "s", ("vp + %s * %d"):format(t, tile * dpad), "o")
@ end
@ one(0, math.min(tile, keys))
@ product(0, math.min(tile, keys), "zero")
@ if full > 1 then
    for (size_t t = 1; t < $(full); ++t) {
@   one("t", tile)
@   rescale()
@   product("t", tile, "keep")
    }
@ end
@ if full > 0 and rest > 0 then
@   one(full, rest)
@   rescale()
@   product(full, rest, "keep")
@ end
@ if pads > 0 then
@   local right, below = pad.side - pad.width, pad.side - pad.height
    float *const weight = stat + $(3 * M);
    for (size_t i = 0; i < $(M); ++i) {
        float *const si = s + i * $(lds);
        float dot = 0.0f;
        for (size_t c = 0; c < $(d); ++c) dot = msa_fma(q[i * $(ldq) + c], k_pad[c], dot);
        const msa_vec same = msa_splat(dot);
@   if rel then
        const float *const rhi = rh + i * $(rel.ld), *const rwi = rw + i * $(rel.ld);
@     if right > 0 then
        for (size_t y = 0; y < $(pad.height); ++y) {
            const msa_vec row = msa_splat(rhi[y]);
            for (size_t x = 0; x < $(whole(right)); x += $(W)) msa_store(si + y * $(right) + x, msa_vadd(msa_vadd(row, msa_load(rwi + $(pad.width) + x)), same));
        }
@     end
@     if below > 0 then
        for (size_t y = 0; y < $(below); ++y) {
            const msa_vec row = msa_splat(rhi[$(pad.height) + y]);
            for (size_t x = 0; x < $(whole(pad.side)); x += $(W)) msa_store(si + $(pad.height * right) + y * $(pad.side) + x, msa_vadd(msa_vadd(row, msa_load(rwi + x)), same));
        }
@     end
@   else
        for (size_t x = 0; x < $(whole(pads)); x += $(W)) msa_store(si + x, same);
@   end
        weight[i] = 0.0f;
    }
@   call(kernels:softmax { rows = M, cols = pads, ld = lds }, "s", "m", "weight", "alpha")
    for (size_t i = 0; i < $(M); ++i) {
        const msa_vec by = msa_splat(alpha[i]), all = msa_splat(weight[i]);
        l[i] = msa_fma(l[i], alpha[i], weight[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) msa_store(o + i * $(dpad) + j, msa_vfma(all, msa_load(v_pad + j), msa_vmul(msa_load(o + i * $(dpad) + j), by)));
    }
@ end
    for (size_t i = 0; i < $(M); ++i) {
@ if out_row then
        float *const to = out + i / $(out_row.n) * $(out_row.ld) + i % $(out_row.n) * $(ldo);
@ else
        float *const to = out + i * $(ldo);
@ end
@ local some = kernels.isa.load_some
@ if d >= W or some then
        const msa_vec by = msa_splat(l[i]);
@ end
@ if d >= W then
        for (size_t j = 0; j < $(d // W * W); j += $(W)) msa_store(to + j, msa_vdiv(msa_load(o + i * $(dpad) + j), by));
@ end
@ if d % W ~= 0 and some then
        msa_store_some(to + $(d // W * W), msa_vdiv(msa_load(o + i * $(dpad) + $(d // W * W)), by), $(d % W));
@ elseif d % W ~= 0 then
        for (size_t j = $(d // W * W); j < $(d); ++j) to[j] = o[i * $(dpad) + j] / l[i];
@ end
    }
}

