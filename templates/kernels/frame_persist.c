@ -- SPDX-License-Identifier: 0BSD
/* z (rows, columns) += share (x - z), rows ld apart; of the first frame z = x. */
void $(name)(const float *restrict x, float *restrict z, size_t first, size_t rows, size_t columns, size_t ld)
{
    const msa_vec share = msa_splat($(share));
    for (size_t r = 0; r < rows; ++r) {
        for (size_t i = r * ld; i < r * ld + columns; i += $(W)) {
            const msa_vec now = msa_load(x + i), before = first ? now : msa_load(z + i);
            msa_store(z + i, msa_vfma(share, msa_vsub(now, before), before));
        }
    }
}

