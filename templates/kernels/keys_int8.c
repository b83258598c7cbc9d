@ -- SPDX-License-Identifier: 0BSD
/* Keys `first` and the count - 1 after it of a head's `keys`, $(d) floats each, as panels of whole numbers tile by
 * tile, tile_bytes apart. */
void $(name)(size_t first, const float *restrict k, int8_t *restrict kp, size_t count, size_t keys, size_t tile,
    size_t k_stride, size_t tile_bytes)
{
    for (size_t i = 0; i < count; ++i) {
        const size_t key = first + i, place = key % tile, before = key - place;
        const size_t here = keys - before < tile ? keys - before : tile, columns = (here + 15) / 16 * 16;
        int8_t *const to = kp + before / tile * tile_bytes;
        int8_t *const panel = to + place / 16 * $(steps * 64) + place % 16 * 4;
        float *const scales = (float *)(void *)(to + columns * $(steps * 4));
        int8_t row[$(padded + 4)];
        scales[place] = msa_quantise(k + i * k_stride, row, $(d), $(padded));
@ if integer.biased then
        int32_t *const sums = (int32_t *)(void *)(scales + columns);
        int32_t sum = 0;
        for (size_t j = 0; j < $(steps); ++j) {
            uint32_t word;
            memcpy(&word, row + j * 4, sizeof word);
            word ^= 0x80808080u;
            memcpy(panel + j * 64, &word, sizeof word);
            sum += (int8_t)word + (int8_t)(word >> 8) + (int8_t)(word >> 16) + (int8_t)(word >> 24);
        }
        sums[place] = -128 * sum;
@ else
        for (size_t j = 0; j < $(steps); ++j) memcpy(panel + j * 64, row + j * 4, 4);
@ end
        if (place + 1 == here) {
            for (size_t j = here; j < columns; ++j) scales[j] = 0.0f;
        }
    }
}

