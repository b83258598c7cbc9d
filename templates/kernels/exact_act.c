@ -- SPDX-License-Identifier: 0BSD
@ -- For vectors that flush subnormals.
@ local per = 16 // W
/* x (16) = $(act)(x). */
static void $(name)(float *x)
{
@ for v = 0, per - 1 do
    const msa_vec y$(v) = msa_hold($(vector)(msa_load(x + $(v * W))));
@ end
    if (msa_flushed()) {
        for (size_t i = 0; i < 16; ++i) {
            x[i] = $(scalar)(x[i]);
        }
        msa_clear_flushed();
    } else {
@ for v = 0, per - 1 do
        msa_store(x + $(v * W), y$(v));
@ end
    }
}

