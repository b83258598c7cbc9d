@ -- SPDX-License-Identifier: 0BSD
@ local count, reach = width * channels, radius * channels
@ local stride = (width + 2 * radius) * channels + 32
/* Row `row` of out = 4 x - 4 (w along rows and columns of x) + 128. Sums are of differences from the row itself and
 * from the pixel itself, which are small: so are their roundings. */
void $(name)(const uint8_t *restrict x, uint8_t *restrict out, float *restrict line, const float *restrict w,
    size_t row)
{
    const uint8_t *const here = x + row * $(count);
    float *const level = line + $(reach), *const off = level + $(stride);
    for (size_t i = 0; i < $(count); i += $(W)) {
        const size_t at = i + $(W) <= $(count) ? i : $(math.max(count - W, 0)); /* the last ones once more */
        const msa_vec middle = msa_load_bytes(here + at), twice = msa_vadd(middle, middle);
        msa_vec sum = msa_splat(0.0f);
        for (size_t j = $(radius); j > 0; --j) {
            const size_t above = row >= j ? row - j : j - row;
            const size_t below = row + j < $(height) ? row + j : 2 * $(height - 1) - row - j;
            const msa_vec both = msa_vadd(msa_load_bytes(x + above * $(count) + at),
                msa_load_bytes(x + below * $(count) + at));
            sum = msa_vfma(msa_splat(w[j]), msa_vsub(both, twice), sum);
        }
        msa_store(level + at, middle);
        msa_store(off + at, sum);
    }
    for (size_t i = 1; i <= $(radius); ++i) {
        for (size_t c = 0; c < $(channels); ++c) {
            const size_t left = i * $(channels) + c, right = ($(width - 1) - i) * $(channels) + c;
            const size_t beyond = ($(width - 1) + i) * $(channels) + c;
            *(level + c - i * $(channels)) = level[left];
            *(off + c - i * $(channels)) = off[left];
            level[beyond] = level[right];
            off[beyond] = off[right];
        }
    }
    for (size_t i = 0; i < $(count); i += $(W)) {
        const size_t at = i + $(W) <= $(count) ? i : $(math.max(count - W, 0));
        const msa_vec middle = msa_load(level + at), twice = msa_vadd(middle, middle);
        msa_vec sum = msa_vmul(msa_splat(w[0]), msa_load(off + at));
        for (size_t j = $(radius); j > 0; --j) {
            const float *const left = level + at - j * $(channels), *const right = level + at + j * $(channels);
            const msa_vec both = msa_vsub(msa_vadd(msa_load(left), msa_load(right)), twice);
            const msa_vec both_off = msa_vadd(msa_load(left + $(stride)), msa_load(right + $(stride)));
            sum = msa_vfma(msa_splat(w[j]), msa_vadd(both, both_off), sum);
        }
        const msa_vec value = msa_vfma(msa_splat(-4.0f), sum, msa_splat(128.5f));
        msa_store_bytes(out + row * $(count) + at, msa_vmin(msa_vmax(value, msa_splat(0.0f)), msa_splat(255.0f)));
    }
}

