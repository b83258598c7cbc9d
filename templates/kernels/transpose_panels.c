@ -- SPDX-License-Identifier: 0BSD
@ local block = kernels:make("transpose_block", "msa_transpose_16x16", {})
/* Panels first to last - 1 of z, which holds the transposed matrix of w: w (K, N) lies in panels of 16 columns, and z
 * (N, K) likewise, the last one filled up with zeros. */
void $(name)(const float *restrict w, float *restrict z, size_t first, size_t last, size_t N, size_t K)
{
    const size_t whole = N / 16 * 16;
    for (size_t panel = first; panel < last; ++panel) {
        const size_t k = panel * 16, count = K - k < 16 ? K - k : 16;
        const float *const from = w + k * 16;
        float *const to = z + k * N;
        for (size_t n = 0; n < (count == 16 ? whole : 0); n += 16) {
            $(block)(from + n * K, to + n * 16, 16, 16);
        }
        for (size_t n = count == 16 ? whole : 0; n < N; ++n) {
            for (size_t c = 0; c < 16; ++c) {
                to[n * 16 + c] = c < count ? from[n / 16 * 16 * K + c * 16 + n % 16] : 0.0f;
            }
        }
    }
}

