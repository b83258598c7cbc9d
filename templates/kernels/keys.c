@ -- SPDX-License-Identifier: 0BSD
/* Keys `first` and the $(count - 1) after it of a head: k and v, $(d) floats each, $(k_stride) and $(v_stride) apart, to where attention
 * reads them: tiles of $(tile) keys; k in panels of 16 keys, [panel][$(d)][16]; v in panels of 16 columns, [panel][key][16]. */
void $(name)(size_t first, const float *restrict k, const float *restrict v, float *restrict kp, float *restrict vp)
{
    for (size_t i = 0; i < $(count); ++i) {
        const size_t key = first + i, tile = key / $(tile), place = key % $(tile);
@ if last ~= tile and tiles > 1 then
        const size_t keys = tile == $(tiles - 1) ? $(last) : $(tile);
@ else
        const size_t keys = $(tile);
@ end
        const float *ki = k$(k_stride > 0 and (" + i * %d"):format(k_stride) or ""), *vi = v$(v_stride > 0 and (" + i * %d"):format(v_stride) or "");
        float *kd = kp + tile * $(padded * d) + place / 16 * $(16 * d) + place % 16;
        float *vd = vp + tile * $(tile * dpad) + place * 16;
        for (size_t j = 0; j < $(d); ++j) kd[j * 16] = ki[j];
        for (size_t j = 0; j < $(dpad); ++j) vd[j / 16 * keys * 16 + j % 16] = $(dpad == d and "vi[j]" or ("j < %d ? vi[j] : 0.0f"):format(d));
    }
}

