@ -- SPDX-License-Identifier: 0BSD
@ local dpad = round16(d)
@ local full = d // 16 * 16
@ -- Where lanes interleave k is turned in squares of keys that lie side by side in a panel.
@ local square = kernels.isa.zip_low and d >= W and kernels:square()
@ local turned = square and d // W * W or 0
/* Keys `first` and the count - 1 after it of a head's `keys`, k and v of $(d) floats each, go to where attention reads
 * them, tile by tile: k in panels of 16 keys, [panel][$(d)][16], and v in panels of 16 columns, [panel][key][16]. */
void $(name)(size_t first, const float *restrict k, const float *restrict v, float *restrict kp, float *restrict vp,
    size_t count, size_t keys, size_t tile, size_t k_stride, size_t v_stride)
{
    const size_t padded = (tile + 15) / 16 * 16;
    for (size_t i = 0; i < count; ++i) {
$(piece("key_place", { steps = d }))
        float *const vd = vp + before * $(dpad) + place * 16;
@ if square then
        const size_t lane = place % $(W);
        if (lane <= i && count - (i - lane) >= $(W) && tile - (place - lane) >= $(W)) {
            for (size_t j = 0; lane == 0 && j < $(turned); j += $(W)) {
                $(square)(ki + j, kd + j * 16, k_stride, 16);
            }
        } else {
            for (size_t j = 0; j < $(turned); ++j) {
                kd[j * 16] = ki[j];
            }
        }
@ end
@ if turned < d then
        for (size_t j = $(turned); j < $(d); ++j) {
            kd[j * 16] = ki[j];
        }
@ end
@ if full > 0 then
        for (size_t j = 0; j < $(full); j += 16) {
@   for c = 0, 15, W do
            msa_store(vd + j * here + $(c), msa_load(vi + j + $(c)));
@   end
        }
@ end
@ if full < d then
        for (size_t c = 0; c < 16; ++c) {
            vd[$(full) * here + c] = $(full) + c < $(d) ? vi[$(full) + c] : 0.0f;
        }
@ end
    }
}

