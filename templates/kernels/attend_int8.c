@ -- SPDX-License-Identifier: 0BSD
@ -- As attend.c, of whole numbers: logits are sums times the scales of query and key, what they start from added last;
@ -- weights are whole numbers, too, and a tile's sums join those before in one multiply-add.
@ local function whole(n) return (n + W - 1) // W * W end
@ local pads = pad and pad.side * pad.side - keys or 0
@ local function call(kernel, ...)
    $(kernels:call(kernel, ...));
@ end
@ -- What a tile's logits start from: their relative positions, or what is given of each pair.
@ local function begin(t, keys_here)
@   if rel then
$(piece("attend_relative", { t = t, keys_here = keys_here }))
@   elseif ldb then
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t j = 0; j < $(whole(keys_here)); j += $(W)) {
            msa_store(s + i * $(lds) + j, msa_load(bias + i * $(ldb) + $(t) * $(tile) + j));
        }
    }
@   end
@ end
@ local function one(t, keys_here, out)
@   begin(t, keys_here)
@   local logits = kernels:gemm_int8 { M = M, N = keys_here, K = d, lda = ldq, ldc = lds, of = "keys",
@     residual = (rel or ldb) and true or nil }
@   call(logits, "q", ("kp + %s * %d"):format(t, k_bytes), "s")
@   call(kernels:softmax_int8 { rows = M, cols = keys_here, ld = lds, ldp = ldp }, "s", "p", "m", "l", "alpha")
@   local product = kernels:gemm_int8 { M = M, N = dpad, K = keys_here, lda = 2 * ldp, ldc = dpad, of = "values",
@     out = out }
@   local arguments = { "(const int8_t *)p", ("vp + %s * %d"):format(t, v_bytes), "o" }
@   if out == "values_next" then table.insert(arguments, 3, "alpha") end
@   call(product, table.unpack(arguments))
@ end
@ -- A window's padding, as one key.
@ local function padded_keys()
    float *const weight = stat + $(3 * M);
    const float k_scale = msa_scale(k_pad + $(stored - 4));
@   if integer.biased then
    /* Not (q - 128) k: gcc 12 takes q - 128 for a byte without sign. */
    int32_t less = 0;
    for (size_t c = 0; c < $(d); ++c) {
        less -= 128 * k_pad[c];
    }
@   end
    for (size_t i = 0; i < $(M); ++i) {
        float *const si = s + i * $(lds);
        const msa_number *const qi = (const msa_number *)(const void *)(q + i * $(ldq));
        int32_t dot = 0;
        const float scale = msa_scale(q + i * $(ldq) + $(at));
@   if integer.biased then
        for (size_t c = 0; c < $(d); ++c) {
            dot += (int32_t)(uint8_t)qi[c] * k_pad[c];
        }
        dot += less;
@   else
        for (size_t c = 0; c < $(d); ++c) {
            dot += (int32_t)qi[c] * k_pad[c];
        }
@   end
        const float logit = ((float)dot * scale) * k_scale;
        const msa_vec same = msa_splat(logit);
$(piece("attend_padding", {}))
        weight[i] = 0.0f;
    }
@   call(kernels:softmax { rows = M, cols = pads, ld = lds }, "s", "m", "weight", "alpha")
    for (size_t i = 0; i < $(M); ++i) {
        const float w = weight[i] * 16383.0f;
$(piece("attend_padding_value", { w = "w" }))
    }
@ end
@ local full, rest = keys // tile, keys % tile
@ local every = out_row and (", %d of them every %d"):format(out_row.n, out_row.ld) or ""
/* out ($(M), $(d)) = softmax(q k^T$((rel or ldb) and " + r" or "")) v over $(keys) keys, tile by tile of $(tile), in
 * whole numbers. Rows of out lie $(ldo) apart$(every). q ($(M), $(d)), rows $(ldq) bytes apart, has
 * scales that are scaled.
@ if rel then
 * r = rh[key row] + rw[key column], a grid of $(rel.n) x $(rel.n) keys.
@ elseif ldb then
 * r = bias, rows $(ldb) apart.
@ end
@ if pads > 0 then
 * Of the window's $(pad.side) x $(pad.side) places $(pads) are padding: one key and one value for all of them, so the
 * value enters once, weighted by their sum.
@ end
 * s, o and stat are scratch: $(M * lds), $(M * dpad) and $(4 * M) floats. $(2 * M * keys * d) multiply-adds. */
void $(name)(const int8_t *restrict q, const int8_t *restrict kp, const int8_t *restrict vp,
@ if rel then
    const float *restrict rh, const float *restrict rw,
@ elseif ldb then
    const float *restrict bias,
@ end
@ if pads > 0 then
    const int8_t *restrict k_pad, const float *restrict v_pad,
@ end
    float *s, float *restrict o, float *restrict stat, float *restrict out)
{
    int16_t *const p = (int16_t *)(void *)s;
    float *m = stat, *l = stat + $(M), *alpha = stat + $(2 * M);
    for (size_t i = 0; i < $(M); ++i) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
@ one(0, math.min(tile, keys), "values")
@ if full > 1 then
    for (size_t t = 1; t < $(full); ++t) {
@   one("t", tile, "values_next")
    }
@ end
@ if full > 0 and rest > 0 then
@   one(full, rest, "values_next")
@ end
@ if pads > 0 then padded_keys() end
$(piece("attend_divided", {}))
}

