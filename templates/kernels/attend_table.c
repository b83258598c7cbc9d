@ -- SPDX-License-Identifier: 0BSD
@ local function whole(n) return (n + W - 1) // W * W end
@ local function call(kernel, ...)
    $(kernels:call(kernel, ...));
@ end
/* out ($(keys), $(d)), rows $(ldo) apart, = softmax(q k^T + bias) v, tile by tile of $(tile) keys; q, rows $(ldq)
 * apart, is already scaled. s, o and stat are scratch. */
void $(name)(const float *restrict q, const float *restrict kp, const float *restrict vp, const float *restrict bias,
    float *restrict s, float *restrict o, float *restrict stat, float *restrict out)
{
    float *const m = stat, *const l = stat + $(keys), *const alpha = stat + $(2 * keys);
    for (size_t i = 0; i < $(keys); ++i) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
@ for t = 0, (keys - 1) // tile do
@   local here = math.min(tile, keys - t * tile)
    for (size_t i = 0; i < $(keys); ++i) {
        for (size_t j = 0; j < $(whole(here)); j += $(W)) {
            msa_store(s + i * $(lds) + j, msa_load(bias + i * $(ldb) + $(t * tile) + j));
        }
    }
@   local logits = kernels:attention_product(precision, { M = keys, N = here, K = d, lda = ldq, ldc = lds }, true)
@   call(logits, "q", ("kp + %d"):format(t * padded_tile * steps), "s")
@   call(kernels:softmax { rows = keys, cols = here, ld = lds }, "s", "m", "l", "alpha")
@   if precision then
@     call(kernels:round_rows { rows = keys, C = here, ldx = lds, ldy = lds }, "s", "s")
@   end
@   if t > 0 then
    for (size_t i = 0; i < $(keys); ++i) {
        const msa_vec by = msa_splat(alpha[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) {
            msa_store(o + i * $(dpad) + j, msa_vmul(msa_load(o + i * $(dpad) + j), by));
        }
    }
@   end
@   local product = kernels:attention_product(precision, { M = keys, N = dpad, K = here, lda = lds, ldc = dpad }, t > 0)
@   call(product, "s", ("vp + %d"):format(t * tile_rows * dpad), "o")
@ end
    for (size_t i = 0; i < $(keys); ++i) {
        for (size_t j = 0; j < $(d); ++j) {
            out[i * $(ldo) + j] = o[i * $(dpad) + j] / l[i];
        }
    }
}

