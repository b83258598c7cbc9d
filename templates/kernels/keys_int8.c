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
@ local column = panel // 16
        float *const scales = (float *)(void *)(to + columns * $(column));
@ if form == "columns" then
        int8_t *const column = to + place * $(column);
@ else
        int8_t *const panel = to + place / 16 * $(panel) + place % 16 * 4;
@ end
        msa_number numbers[$(padded + 4 // number)];
        int8_t *const row = (int8_t *)numbers;
        scales[place] = msa_quantise(k + i * k_stride, row, $(d), $(padded));
@ if integer.biased then
        int32_t *const sums = (int32_t *)(void *)(scales + columns);
        int32_t sum = 0;
        for (size_t j = 0; j < $(steps); ++j) {
            const uint32_t word = msa_word(row + j * 4) ^ 0x80808080u;
            msa_store_word(panel + j * 64, word);
            sum += (int8_t)word + (int8_t)(word >> 8) + (int8_t)(word >> 16) + (int8_t)(word >> 24);
        }
        sums[place] = -128 * sum;
@ elseif form == "columns" then
        for (size_t j = 0; j < $(column); j += 4) {
            msa_store_word(column + j, msa_word(row + j));
        }
@ else
        for (size_t j = 0; j < $(steps); ++j) {
            msa_store_word(panel + j * 64, msa_word(row + j * 4));
        }
@ end
        if (place + 1 == here) {
            for (size_t j = here; j < columns; ++j) {
                scales[j] = 0.0f;
            }
        }
    }
}

