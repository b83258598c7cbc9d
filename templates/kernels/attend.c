@ -- SPDX-License-Identifier: 0BSD
@ -- One query tile against all keys of a head, a tile of keys at a time: the running maximum and sum of Milakov and
@ -- Gimelshein 2018, so that no row of logits is ever whole.
@ local pads = pad and pad.side * pad.side - keys or 0
@ local function call(kernel, ...)
    $(kernels:call(kernel, ...));
@ end
@ local function count_from(t)
@   if keys <= tile then return "count" end
@   local first = t == "t" and "t * " .. tile or tostring(t * tile)
@   return ("count > %s ? count - %s : 0"):format(first, first)
@ end
@ -- Logits of a tile of keys, then their weights.
@ local function one(t, keys_here)
@   if rel then
$(piece("attend_relative", { t = t, keys_here = keys_here }))
@   end
@   local at = ("kp + %s * %d"):format(t, padded_tile * steps)
@   call(kernels:attention_product(precision, { M = M, N = keys_here, K = d, lda = ldq, ldc = lds }, rel), "q", at, "s")
@   local softmax = kernels:softmax { rows = M, cols = keys_here, ld = lds, counted = counted }
@   call(softmax, "s", "m", "l", "alpha", counted and count_from(t) or nil)
@   if precision then
@     call(kernels:round_rows { rows = M, C = keys_here, ldx = lds, ldy = lds }, "s", "s")
@   end
@ end
@ local function rescale()
    for (size_t i = 0; i < $(M); ++i) {
        const msa_vec by = msa_splat(alpha[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) {
            msa_store(o + i * $(dpad) + j, msa_vmul(msa_load(o + i * $(dpad) + j), by));
        }
    }
@ end
@ local function product(t, keys_here, goes_on)
@   local gemm = { M = M, N = dpad, K = keys_here, lda = lds, ldc = dpad }
@   call(kernels:attention_product(precision, gemm, goes_on), "s", ("vp + %s * %d"):format(t, tile_rows * dpad), "o")
@ end
@ -- A window's padding, as one key.
@ local function padded()
    float *const weight = stat + $(3 * M);
    for (size_t i = 0; i < $(M); ++i) {
        float *const si = s + i * $(lds);
        float dot = 0.0f;
@   if paired then
        for (size_t c = 0; c < $(d // 2); ++c) {
            dot = msa_fma(msa_second(q[i * $(ldq) + c]), k_pad[2 * c], dot);
            dot = msa_fma(msa_first(q[i * $(ldq) + c]), k_pad[2 * c + 1], dot);
        }
@     if d % 2 == 1 then
        dot = msa_fma(msa_first(q[i * $(ldq) + $(d // 2)]), k_pad[$(d - 1)], dot);
@     end
@   else
        for (size_t c = 0; c < $(d); ++c) {
            dot = msa_fma(q[i * $(ldq) + c], k_pad[c], dot);
        }
@   end
        const msa_vec same = msa_splat(dot);
$(piece("attend_padding", {}))
        weight[i] = 0.0f;
    }
@   call(kernels:softmax { rows = M, cols = pads, ld = lds }, "s", "m", "weight", "alpha")
    for (size_t i = 0; i < $(M); ++i) {
$(piece("attend_padding_value", { w = "weight[i]" }))
    }
@ end
@ local lowered = precision and (", in %s like k, v and their weights"):format(precision) or ""
@ local full, rest = keys // tile, keys % tile
@ local every = out_row and (", %d of them every %d"):format(out_row.n, out_row.ld) or ""
/* out ($(M), $(d)) = softmax(q k^T$(rel and " + r" or "")) v over $(keys) keys, tile by tile of $(tile).
 * Rows of out lie $(ldo) apart$(every).
 * q ($(M), $(d)), rows $(ldq) apart, is already scaled$(lowered).
@ if rel then
 * r = rh[key row] + rw[key column], a grid of $(rel.n) x $(rel.n) keys.
@ end
@ if counted then
 * Keys from `count` on do not count.
@ end
@ if pads > 0 then
 * Of the window's $(pad.side) x $(pad.side) places $(pads) are padding: one key and one value for all of them, so the
 * value enters once, weighted by their sum.
@ end
 * s, o and stat are scratch: $(M * lds), $(M * dpad) and $(4 * M) floats. $(2 * M * keys * d) multiply-adds. */
void $(name)(const float *restrict q, const float *restrict kp, const float *restrict vp,
@ if rel then
    const float *restrict rh, const float *restrict rw,
@ end
@ if pads > 0 then
    const float *restrict k_pad, const float *restrict v_pad,
@ end
    float *restrict s, float *restrict o, float *restrict stat, float *restrict out
@ if counted then
    , size_t count
@ end
    )
{
    float *m = stat, *l = stat + $(M), *alpha = stat + $(2 * M);
    for (size_t i = 0; i < $(M); ++i) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
@ one(0, math.min(tile, keys))
@ product(0, math.min(tile, keys), false)
@ if full > 1 then
    for (size_t t = 1; t < $(full); ++t) {
@   one("t", tile)
@   rescale()
@   product("t", tile, true)
    }
@ end
@ if full > 0 and rest > 0 then
@   one(full, rest)
@   rescale()
@   product(full, rest, true)
@ end
@ if pads > 0 then padded() end
$(piece("attend_divided", {}))
}

