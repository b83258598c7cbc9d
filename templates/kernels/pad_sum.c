@ -- SPDX-License-Identifier: 0BSD
/* acc ($(dpad)) += the sum of the rows of z, ldz apart, that are padding of a set: of its `lines` rows of `columns`
 * places all but the first `width` of the first `height`. */
void $(name)(const float *restrict z, float *restrict acc, size_t height, size_t width, size_t lines, size_t columns,
    size_t ldz)
{
    for (size_t j = 0; j < $(dpad); j += $(W)) {
        msa_vec sum = msa_splat(0.0f);
        for (size_t y = 0; y < lines; ++y) {
            for (size_t c = y < height ? width : 0; c < columns; ++c) {
                sum = msa_vadd(sum, msa_load(z + (y * columns + c) * ldz + j));
            }
        }
        msa_store(acc + j, msa_vadd(msa_load(acc + j), sum));
    }
}

