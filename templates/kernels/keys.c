@ -- SPDX-License-Identifier: 0BSD
@ local dpad = round16(d)
@ local value = dpad == d and "vi[j + c]" or ("j + c < %d ? vi[j + c] : 0.0f"):format(d)
/* Keys `first` and the count - 1 after it of a head's `keys`, k and v of $(d) floats each, go to where attention reads
 * them, tile by tile: k in panels of 16 keys, [panel][$(d)][16], and v in panels of 16 columns, [panel][key][16]. */
void $(name)(size_t first, const float *restrict k, const float *restrict v, float *restrict kp, float *restrict vp,
    size_t count, size_t keys, size_t tile, size_t k_stride, size_t v_stride)
{
    const size_t padded = (tile + 15) / 16 * 16;
    for (size_t i = 0; i < count; ++i) {
        const size_t key = first + i, place = key % tile, before = key - place;
        const size_t here = keys - before < tile ? keys - before : tile;
        const float *const ki = k + i * k_stride, *const vi = v + i * v_stride;
        float *const kd = kp + before / tile * padded * $(d) + place / 16 * $(16 * d) + place % 16;
        float *const vd = vp + before * $(dpad) + place * 16;
        for (size_t j = 0; j < $(d); ++j) kd[j * 16] = ki[j];
        for (size_t j = 0; j < $(dpad); j += 16) {
            for (size_t c = 0; c < 16; ++c) vd[j * here + c] = $(value);
        }
    }
}

