@ -- SPDX-License-Identifier: 0BSD
@ local form = paired and "pairs" or "neighbours turned"
/* Keys `first` and the count - 1 after it of a head's `keys`, k and v of $(d) floats each, go to where attention reads
 * them, tile by tile, in bf16, $(form): k in panels of 16 keys, [panel][$(steps)][16], and v in panels of 16 columns,
 * [panel][$(paired and "pair of keys" or "key")][16]. Keys come in order. */
void $(name)(size_t first, const float *restrict k, const float *restrict v, float *restrict kp, float *restrict vp,
    size_t count, size_t keys, size_t tile, size_t k_stride, size_t v_stride)
{
    const size_t padded = (tile + 15) / 16 * 16;
    for (size_t i = 0; i < count; ++i) {
$(piece("key_place", { steps = steps }))
@ if paired then
        for (size_t j = 0; j < $(d // 2); ++j) {
            kd[j * 16] = msa_pair(msa_bf16(ki[2 * j]), msa_bf16(ki[2 * j + 1]));
        }
@   if d % 2 == 1 then
        kd[$(d // 2 * 16)] = msa_pair(msa_bf16(ki[$(d - 1)]), 0.0f);
@   end
        const size_t rows = (here + 1) / 2;
        float *const vd = vp + before / tile * ((tile + 1) / 2) * $(dpad) + place / 2 * 16;
        for (size_t j = 0; j < $(dpad); ++j) {
            float *const to = vd + j / 16 * (rows * 16) + j % 16;
            const float value = $(d == dpad and "msa_bf16(vi[j])" or ("j < %d ? msa_bf16(vi[j]) : 0.0f"):format(d));
            *to = place % 2 == 0 ? msa_pair(value, 0.0f) : msa_pair(msa_first(*to), value);
        }
@ else
        for (size_t j = 0; j < $(d); ++j) {
            kd[(j ^ 1) < $(d) ? (j ^ 1) * 16 : j * 16] = msa_bf16(ki[j]);
        }
        const size_t turned = (place ^ 1) < here ? place ^ 1 : place;
        float *const vd = vp + before * $(dpad) + turned * 16;
        for (size_t j = 0; j < $(dpad); ++j) {
            vd[j / 16 * (here * 16) + j % 16] =
                $(d == dpad and "msa_bf16(vi[j])" or ("j < %d ? msa_bf16(vi[j]) : 0.0f"):format(d));
        }
@ end
    }
}

