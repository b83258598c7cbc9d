/* Keys `first` to `first + count` of a head: k and v ($(d) floats each, k_stride and v_stride apart, 0 to repeat one) to where
 * attention reads them: tiles of $(tile) keys; k in panels of 16 keys, [panel][$(d)][16]; v in panels of 16 columns, [panel][key][16]. */
void $(name)(size_t first, size_t count, const float *restrict k, size_t k_stride, const float *restrict v, size_t v_stride, float *restrict kp, float *restrict vp)
{
    for (size_t i = 0; i < count; ++i) {
        const size_t key = first + i, tile = key / $(tile), place = key % $(tile);
@ if last ~= tile and tiles > 1 then
        const size_t keys = tile == $(tiles - 1) ? $(last) : $(tile);
@ else
        const size_t keys = $(tile);
@ end
        const float *ki = k + i * k_stride, *vi = v + i * v_stride;
        float *kd = kp + tile * $(padded * d) + place / 16 * $(16 * d) + place % 16;
        float *vd = vp + tile * $(tile * dpad) + place * 16;
        for (size_t j = 0; j < $(d); ++j) kd[j * 16] = ki[j];
        for (size_t j = 0; j < $(dpad); ++j) vd[j / 16 * keys * 16 + j % 16] = $(dpad == d and "vi[j]" or ("j < %d ? vi[j] : 0.0f"):format(d));
    }
}

