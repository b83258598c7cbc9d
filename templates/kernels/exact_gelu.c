@ -- SPDX-License-Identifier: 0BSD
@ -- For vectors that flush subnormals.
@ local per = 16 // W
/* x (16) = gelu(x). */
static void $(name)(float *x)
{
@ for v = 0, per - 1 do
    const msa_vec g$(v) = msa_hold(msa_vgelu(msa_load(x + $(v * W))));
@ end
    if (msa_flushed()) {
        for (size_t i = 0; i < 16; ++i) x[i] = msa_gelu(x[i]);
        msa_clear_flushed();
    } else {
@ for v = 0, per - 1 do
        msa_store(x + $(v * W), g$(v));
@ end
    }
}

