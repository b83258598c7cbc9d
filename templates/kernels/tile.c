@ -- SPDX-License-Identifier: 0BSD
@ -- The inner loop of every matrix product. C starts from what is there, so that a sum over k may be cut into blocks, or
@ -- begin with a bias or a relative position, and stay one chain of fused multiply-adds in the order of k.
/* c ($(MR), $(NP * 16)) += a ($(MR), $(K)) b ($(K), $(NP * 16)). Rows of a are $(lda) apart; rows of b $(ldb), panels
 * $(bps); rows of c $(ldc), panels $(cps). */
static void $(name)(const float *restrict a, const float *restrict b, float *restrict c)
{
@ local per = 16 // W
@ local last = NP * per - 1
@ local function at(v, panel) return v // per * panel + v % per * W end
@ for m = 0, MR - 1 do for v = 0, last do
    msa_vec c$(m)_$(v) = msa_load(c + $(m * ldc + at(v, cps)));
@ end end
    for (size_t k = 0; k < $(K); ++k) {
@ for v = 0, last do
        const msa_vec b$(v) = msa_load(b + k * $(ldb) + $(at(v, bps)));
@ end
@ for m = 0, MR - 1 do
        const msa_vec a$(m) = msa_splat(a[k + $(m * lda)]);
@ for v = 0, last do
        c$(m)_$(v) = msa_vfma(a$(m), b$(v), c$(m)_$(v));
@ end
@ end
    }
@ for m = 0, MR - 1 do for v = 0, last do
    msa_store(c + $(m * ldc + at(v, cps)), c$(m)_$(v));
@ end end
}

