@ -- SPDX-License-Identifier: 0BSD
/* Panels of pairs, bps numbers apart, `steps` numbers a column, as panels of floats, of each pair the second number
 * first. */
static void $(name)(const uint16_t *restrict b, float *restrict to, size_t panels, size_t steps, size_t bps)
{
    for (size_t p = 0; p < panels; ++p) {
        const float *const from = (const float *)(const void *)(b + p * bps);
        float *const panel = to + p * steps * 16;
        for (size_t k = 0; k + 1 < steps; k += 2) {
            for (size_t j = 0; j < 16; j += $(W)) {
                const msa_vec pair = msa_load(from + k * 8 + j);
                msa_store(panel + k * 16 + j, msa_vsecond(pair));
                msa_store(panel + k * 16 + 16 + j, msa_vfirst(pair));
            }
        }
        if (steps % 2 == 1) {
            for (size_t j = 0; j < 16; j += $(W)) {
                msa_store(panel + (steps - 1) * 16 + j, msa_vfirst(msa_load(from + (steps - 1) * 8 + j)));
            }
        }
    }
}

