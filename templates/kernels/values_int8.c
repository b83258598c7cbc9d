@ -- SPDX-License-Identifier: 0BSD
@ -- Columns of a tile in panels of 16: words of two keys' numbers of 16 bits.
/* The values of a head's `keys` keys, $(dpad) floats each, as panels of whole numbers tile by tile, tile_bytes apart: a
 * tile's keys are a row of a column, which has a scale. */
void $(name)(const float *restrict v, int8_t *restrict vp, size_t keys, size_t tile, size_t tile_bytes)
{
    for (size_t first = 0; first < keys; first += tile) {
        const size_t here = keys - first < tile ? keys - first : tile, steps = (here + 1) / 2;
        int8_t *const to = vp + first / tile * tile_bytes;
        float *const scales = (float *)(void *)(to + steps * $(dpad * 4));
        const float *const from = v + first * $(dpad);
        for (size_t j = 0; j < $(dpad); j += 16) {
            int8_t *const panel = to + j * 4 * steps;
            float top[16], inverse[16];
@ if vectors then
@   for p = 0, per - 1 do
            msa_vec t$(p) = msa_splat(0.0f);
@   end
            for (size_t i = 0; i < here; ++i) {
@   for p = 0, per - 1 do
                t$(p) = msa_vtop(t$(p), msa_load(from + i * $(dpad) + j + $(p * W)));
@   end
            }
@   for p = 0, per - 1 do
            msa_store(top + $(p * W), t$(p));
@   end
@ else
            for (size_t c = 0; c < 16; ++c) top[c] = 0.0f;
            for (size_t i = 0; i < here; ++i) {
                for (size_t c = 0; c < 16; ++c) {
                    const uint32_t bits = msa_bits(from[i * $(dpad) + j + c]) & 0x7fffffffu;
                    if (bits > msa_bits(top[c])) top[c] = msa_from_bits(bits);
                }
            }
@ end
            for (size_t c = 0; c < 16; ++c) scales[j + c] = msa_scale_of(msa_bits(top[c]), inverse + c);
            for (size_t i = 0; i < steps; ++i) {
                const float *const low = from + 2 * i * $(dpad) + j;
                const bool odd = 2 * i + 1 == here;
                const float *const high = odd ? low : low + $(dpad);
@ if vectors then
                float pair[16];
@   for p = 0, per - 1 do
                {
                    const msa_vec by = msa_load(inverse + $(p * W)), round = msa_splat(MSA_WHOLE);
                    const msa_vec l = msa_vadd(msa_vmul(msa_load(low + $(p * W)), by), round);
                    const msa_vec h = msa_vadd(msa_vmul(msa_load(high + $(p * W)), odd ? msa_splat(0.0f) : by), round);
                    msa_store(pair + $(p * W), msa_vpair(l, h));
                }
@   end
                memcpy(panel + i * 64, pair, sizeof pair);
@ else
                int16_t pair[32];
                for (size_t c = 0; c < 16; ++c) {
                    const bool none = !(inverse[c] > 0.0f);
                    pair[2 * c] = none ? 0 : (int16_t)msa_whole(low[c] * inverse[c] + MSA_WHOLE);
                    pair[2 * c + 1] = none || odd ? 0 : (int16_t)msa_whole(high[c] * inverse[c] + MSA_WHOLE);
                }
                memcpy(panel + i * 64, pair, sizeof pair);
@ end
            }
        }
    }
}

